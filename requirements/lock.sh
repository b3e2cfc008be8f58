#!/bin/sh
# Rewrites the lock files: one resolution for all of them, so that a version is the same everywhere.
# The largest set is resolved first and then constrains the smaller ones.
set -eu
cd "$(dirname "$0")"
uv="${UV:-uv}"
compile() {
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --no-annotate "$@"
}
printf -- '-r dev.in\n-r bench.in\n' > all.in
compile all.in -o all.txt
for set in base embedded dev bench; do compile "$set.in" -c all.txt -o "$set.txt"; done
rm all.in all.txt
