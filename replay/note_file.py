"""The archiver's own file of what it has signed: one note after the other, an empty line behind each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from replay.checkpoint import MAX_CHARACTERS, CheckpointRefused, parse, split_notes

#: A signature line and the empty line behind it: here a note ends.
_END: Final = re.compile("^— [^\n]*\n\n".encode(), re.MULTILINE)
#: More than a note has, so that the end of the last whole one is in it.
_TAIL_BYTES: Final = 2 * 4 * MAX_CHARACTERS


class NoteFile:
    """`path`: need not be there yet. Every method raises OSError as the file system does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, note: str) -> None:
        """All of the note, or nothing of it: half a one would spoil those behind it too."""
        with self.path.open("ab", buffering=0) as file:
            length = file.seek(0, os.SEEK_END)
            left = memoryview(f"{note}\n".encode())
            try:
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(length)
                raise

    def notes(self) -> Iterator[str]:
        """Their texts, the oldest first, read a note at a time; what is no note is among them as it stands."""
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            lines: list[str] = []
            for line in file:
                lines.append(line)
                if line == "\n" and lines[-2:-1] and lines[-2].startswith("— "):
                    yield from split_notes("".join(lines))
                    lines.clear()
            yield from split_notes("".join(lines))

    def mend(self, origin: str) -> bytes:
        """Put right what a crash in the middle of a write has left behind the last whole note; gives what was cut off.

        What does not begin as the notes of `origin` do is somebody else's, and stays.
        """
        if not self.path.exists():
            return b""
        with self.path.open("r+b") as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - _TAIL_BYTES))
            tail = file.read()
            rest = tail[max((each.end() for each in _END.finditer(tail)), default=0) :]
            torn = rest.strip(b"\n")
            if not torn:
                return b""
            if not _is_whole(rest.lstrip(b"\n")) and _is_begun(torn, origin.encode()):
                file.truncate(length - len(rest))
                return rest
            file.write(b"\n" if rest.endswith(b"\n") else b"\n\n")  # at the end, where reading has stopped
            return b""


def _is_whole(rest: bytes) -> bool:
    try:
        parse(rest.decode())
    except (CheckpointRefused, UnicodeDecodeError):
        return False
    return True


def _is_begun(torn: bytes, origin: bytes) -> bool:
    """Some file systems leave zeros where the bytes did not arrive."""
    begun = torn.rstrip(b"\0")
    return begun.startswith(origin) or origin.startswith(begun)
