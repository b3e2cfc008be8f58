"""`python -m tests.golden add`: write the golden files that are not there yet; the others are never touched."""

from __future__ import annotations

import sys

from tests.golden.corpus import FOLDER, files


def main(arguments: list[str]) -> int:
    if arguments != ["add"]:
        print(__doc__)  # noqa: T201  # its help
        return 2
    new = {path: text for path, text in files().items() if not path.exists()}
    for path, text in new.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"added {path.relative_to(FOLDER)}")  # noqa: T201  # its output
    print(f"{len(new)} files added; those that were there are as they were")  # noqa: T201  # its output
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
