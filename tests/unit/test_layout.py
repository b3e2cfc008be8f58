"""The house itself: its names are its own, its rooms are packages, and nothing of one machine is in it."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS = [pattern.removesuffix("*") for pattern in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]]
OURS = PROJECT["project"]["name"]

#: What would tie the repository to one machine or one registry. Spelt in pieces, so as not to find itself.
FOREIGN = re.compile(
    r"(?<![\w.:])/(?:"
    + "|".join(("home", "Users", "root", "work", "mnt", "private"))
    + r")/\w"
    + "|"
    + "|".join(
        re.escape("".join(host))
        for host in (
            ("pypi", ".org"), ("pythonhosted", ".org"), ("repo", ".maven"), ("repo1", ".maven"), ("maven", ".org"),
            ("npmjs", ".org"), ("npmjs", ".com"), ("docker", ".io"), ("ghcr", ".io"),
            ("quay", ".io"), ("--index", "-url"),
            ("--extra-index", "-url"),
        )
    )
    + r"|[A-Z]:\\Users\\"
)  # fmt: skip


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.mark.parametrize("room", [*ROOMS, "tests"])
def test_no_other_distribution_claims_our_names(room: str) -> None:
    claimants = {name.lower() for name in packages_distributions().get(room, ())}
    assert claimants <= {OURS}


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_a_package_with_a_word_on_what_it_is_for(room: str) -> None:
    text = (ROOT / room / "__init__.py").read_text(encoding="utf-8")
    assert text.startswith('"""')


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for path in _tracked() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in ROOMS}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_layers_name_every_room() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    assert sorted(room.strip() for layer in layers for room in layer.split("|")) == sorted(ROOMS)


def test_package_data_covers_every_file_that_is_not_python() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["*"]
    data = [path for path in _tracked() if path.suffix != ".py" and path.relative_to(ROOT).parts[0] in ROOMS]
    forgotten = [path for path in data if not any(path in _package_of(path).glob(pattern) for pattern in patterns)]
    assert forgotten == [], "add their kind to package-data in pyproject.toml"


def test_nothing_tracked_names_a_machine_or_a_registry() -> None:
    found = []
    for path in _tracked():
        name = path.relative_to(ROOT).as_posix()
        text = path.read_bytes().decode("utf-8", errors="replace")
        found += [f"{name}: {match[0]}" for match in FOREIGN.finditer(text)]
    assert found == []


@pytest.mark.parametrize(
    "words",
    [("see /ho", "me/an/x"), ('"/wo', 'rk/main"'), ("https://py", "pi.org/simple"), ("C:", r"\Users\an")],
    ids="".join,
)
def test_such_a_name_would_be_found(words: tuple[str, ...]) -> None:
    assert FOREIGN.search("".join(words))


@pytest.mark.parametrize(
    "words",
    [("a/ho", "me/x"), ("http://127.0.0.1/wo", "rk/1"), ("gateway/ro", "ot/x"), ("/v1/", "dossiers")],
    ids="".join,
)
def test_ordinary_paths_are_not_taken_for_one(words: tuple[str, ...]) -> None:
    assert not FOREIGN.search("".join(words))


@pytest.mark.parametrize("lock", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_every_locked_dependency_has_a_hash(lock: Path) -> None:
    entries = re.split(r"\n(?=[a-zA-Z0-9])", re.sub(r"(?m)^\s*#.*\n?", "", lock.read_text(encoding="utf-8")).strip())
    unhashed = [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry]
    assert entries
    assert unhashed == []


def _package_of(path: Path) -> Path:
    """The nearest folder above that is a package: package data is found from there."""
    return next(folder for folder in path.parents if (folder / "__init__.py").is_file())
