"""One fresh installation for each module: started as a user starts it, stopped as a user stops it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import Installation


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A fresh `dossier up --detach` in a folder of its own."""
    fresh = Installation(Path(tmp_path_factory.mktemp("up")))
    fresh.up()
    yield fresh
    fresh.down()
