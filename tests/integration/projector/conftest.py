"""A world of its own for each test, on the session's broker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.projector.world import World


@pytest.fixture
def world(broker: str, make_topics: Callable[..., str], tmp_path: Path) -> World:
    return World(broker, make_topics(), tmp_path)
