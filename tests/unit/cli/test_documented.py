"""What README and docs tell a reader to type: commands that there are, with options that they take."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import dropwhile, groupby
from pathlib import Path
from typing import Any, Final

import pytest
import typer
import typer.main

from cli.main import command_line

ROOT: Final = Path(__file__).parents[3]
PAGES: Final = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"))}
_OPERATORS: Final = frozenset("();<>|&")


def _typed(page: str) -> Iterator[str]:
    """Each `dossier …` call in the code blocks of a page, without comments, redirections and what is beside it."""
    for line in _code(page).replace("\\\n", " ").splitlines():
        if "dossier " in line:
            yield from _calls(line)


def _code(page: str) -> str:
    return "".join(re.findall(r"^```\w*\n(.*?)^```", page, re.MULTILINE | re.DOTALL))


def _calls(line: str) -> Iterator[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    for _, words in groupby(lexer, key=lambda word: _OPERATORS.issuperset(word)):
        program, *arguments = [*dropwhile(_is_assignment, words), ""]
        if program == "dossier":
            yield shlex.join(arguments[:-1])


def _is_assignment(word: str) -> bool:
    return re.match(r"[A-Z_]+=", word) is not None


def _mentioned(page: str) -> list[str]:
    """Each `dossier …` in the running text; it may be an example without all of its arguments."""
    prose = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    return [" ".join(words.split()) for words in re.findall(r"`dossier ([a-z][^`]*)`", prose)]


def _inert(command: Any) -> Any:
    """The same command line, which reads its words and does nothing."""
    command.callback = lambda **_: None
    for each in getattr(command, "commands", {}).values():
        _inert(each)
    return command


INERT: Final = _inert(typer.main.get_command(command_line()))
TYPED: Final = [(name, call) for name, page in PAGES.items() for call in _typed(page)]
MENTIONED: Final = [(name, call) for name, page in PAGES.items() for call in _mentioned(page)]


def _read(call: str) -> None:
    """Let the command line read it. Raises TyperException: it would refuse it."""
    INERT.main(shlex.split(call), standalone_mode=False)


def _unknown(call: str) -> list[str]:
    """The words of a call that are no command or no option of it."""
    command, unknown = INERT, []
    for word in call.split():
        if subcommands := getattr(command, "commands", None):
            if word not in subcommands:
                return [word]
            command = subcommands[word]
        elif word.startswith("--") and word not in {name for each in command.params for name in each.opts}:
            unknown.append(word)
    return unknown


@pytest.mark.parametrize(("page", "call"), TYPED, ids=str)
def test_what_is_to_be_typed_is_understood(
    page: str, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("examples").symlink_to(ROOT / "examples")
    for word in shlex.split(call):
        if re.fullmatch(r"[\w.-]+\.\w+|FILE", word):
            Path(word).touch()  # the files that the reader has
    try:
        _read(call)
    except typer.TyperException as error:
        pytest.fail(f"{page}: dossier {call}: {error}")


@pytest.mark.parametrize(("page", "call"), MENTIONED, ids=str)
def test_what_is_mentioned_is_there(page: str, call: str) -> None:
    assert _unknown(call) == [], f"{page}: dossier {call}"


@pytest.mark.parametrize("page", PAGES)
def test_no_line_is_passed_over(page: str) -> None:
    lines = re.findall(r"^dossier ", _code(PAGES[page]), re.MULTILINE)
    assert len([call for name, call in TYPED if name == page]) >= len(lines)


def test_the_readme_has_commands() -> None:
    assert len([call for page, call in TYPED if page == "README.md"]) > 20


@pytest.mark.parametrize(
    "block",
    [
        "dossier tele-port", "dossier up --warp 9", "dossier rulebook frobnicate", "dossier replay   # which one?",
        "X=1 dossier queues --as-off 1 | head", "cat book.csv | dossier import \\\n  --maping book.yaml",
    ],
)  # fmt: skip
def test_a_slip_would_be_found(block: str) -> None:
    (call,) = _typed(f"```sh\n{block}\n```\n")
    with pytest.raises(typer.TyperException):
        _read(call)


@pytest.mark.parametrize("words", ["`dossier tele-port`", "`dossier up\n--warp 9`", "`dossier rulebook frobnicate`"])
def test_a_slip_in_the_text_would_be_found(words: str) -> None:
    (call,) = _mentioned(f"Type {words} and see.\n")
    assert _unknown(call)


def test_the_columns_of_a_drawing_are_not_taken_for_commands() -> None:
    assert list(_typed("```\n ──▶ Kafka  (key = dossier id) ──▶ dossier keeper\n```\n")) == []
