"""When to flush: soon when caught up, late when behind. Pure; the clock is an argument.

Behind, the same dossier comes again and again, and each flush writes its whole state; waiting lets one record
stand for many events. Caught up, somebody waits for the state. Nearly caught up is still behind: a flush just before
the last records come would write the same dossiers twice.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlushPolicy:
    """Times in seconds, sizes in what their names say."""

    soon_seconds: float = 0.02
    late_seconds: float = 2.0
    max_dirty: int = 50_000  # dossiers
    max_pending_bytes: int = 64 * 1024 * 1024  # events folded and not yet flushed
    behind_records: int = 2_000  # lag from which on we count as behind; it is folded in some 20 ms

    def wait_seconds(self, *, waited_seconds: float, dirty: int, pending_bytes: int, lag: int) -> float:
        """How much longer to wait with a flush whose first event was folded `waited_seconds` ago; 0: flush now."""
        if dirty >= self.max_dirty or pending_bytes >= self.max_pending_bytes:
            return 0.0
        patience = self.late_seconds if lag >= self.behind_records else self.soon_seconds
        return max(0.0, patience - waited_seconds)

    def is_full(self, *, dirty: int, pending_bytes: int) -> bool:
        """Must folding stop until a flush is taken? As much again as one flush may wait for another on its way."""
        return dirty >= 2 * self.max_dirty or pending_bytes >= 2 * self.max_pending_bytes
