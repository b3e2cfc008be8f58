"""Times as people write them on the command line."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cli.console import EXIT_USAGE, CommandError
from cli.instants import instant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("02/03/2026 15:30", datetime(2026, 3, 2, 8, 30, tzinfo=UTC)),
        ("02/03/2026 15:30:10", datetime(2026, 3, 2, 8, 30, 10, tzinfo=UTC)),
        ("2026-03-02T15:30:00+07:00", datetime(2026, 3, 2, 8, 30, tzinfo=UTC)),
        ("2026-03-02T08:30:00.5Z", datetime(2026, 3, 2, 8, 30, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_vietnamese_time_and_rfc_3339(written: str, meant: datetime) -> None:
    assert instant(written, "--as-of") == meant


def test_a_date_alone_is_all_of_that_day() -> None:
    assert instant("02/03/2026", "--as-of") == datetime(2026, 3, 2, 16, 59, 59, 999_999, tzinfo=UTC)


@pytest.mark.parametrize("written", ["hôm qua", "2026-03-02", "2026-03-02T15:30:00", "31/02/2026", "3/2026", ""])
def test_what_is_no_time_or_has_no_zone_is_refused_with_what_to_write(written: str) -> None:
    with pytest.raises(CommandError, match=r"--known-at .* is no time: write 02/03/2026") as refused:
        instant(written, "--known-at")
    assert refused.value.exit_code == EXIT_USAGE


@pytest.mark.parametrize("written", ["01/01/0001 00:00", "9999-12-31T23:59:00-07:00", "31/12/9999", "31/12/1900"])
def test_a_time_of_no_event_is_refused_by_the_name_of_the_option(written: str) -> None:
    with pytest.raises(CommandError, match=r"--as-of .* is outside 1901-2199") as refused:
        instant(written, "--as-of")
    assert refused.value.exit_code == EXIT_USAGE
