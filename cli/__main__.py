"""`python -m cli` is `dossier`: how the supervisor starts its children with its own interpreter."""

from cli.main import main

main()
