"""Where the checked-in contract lies."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
PUBLISHED: Final = ROOT / "schemas" / "published"
