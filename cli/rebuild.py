"""`dossier rebuild`: fold the whole archive, keep what comes of it as a table, and compare it with the live state."""

from __future__ import annotations

import time
from typing import Annotated, Final

import typer

from cli.checking import Done, Job, alarm_events, check_all, open_states
from cli.console import EXIT_FOUND, emit_json, number, out
from cli.instants import instant
from cli.past import ledger_ends
from cli.surroundings import Surroundings, listening_kafka, not_answered, surroundings
from cli.workers import enough, progress_bar, shown
from schemas import api
from schemas.settings import load_settings

SHOWN: Final = 20


def register(app: typer.Typer) -> None:
    app.command()(rebuild)


def rebuild(
    since: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="Compare the dossiers touched since; writes no new version.")
    ] = None,
    compare_only: Annotated[
        bool, typer.Option("--compare-only", help="Write nothing: as the user that may only read.")
    ] = False,
    announce: Annotated[
        bool, typer.Option("--announce", help="Publish a ProjectionDiverged for each dossier that differs.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes; default: one a processor, fewer if little is there.")
    ] = None,
    wait_seconds: Annotated[
        float,
        typer.Option("--wait", min=0, max=3600, metavar="SECONDS", help="How long live state and archive may take."),
    ] = 120.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Tính lại từ kho lưu · Fold the whole archive and compare it with the live state and the published alarms.

    States are compared byte for byte, alarms as sets, up to the end of the ledger as it is now; events may go on
    coming. If nothing differs the recomputed states become what `dossier_states_now` shows. Exits with 1 otherwise.

    Example: dossier rebuild --json
    """
    touched_since = instant(since, "--since")
    around = surroundings(load_settings())
    version = None if compare_only or since is not None else time.time_ns() // 1_000_000
    ends = ledger_ends(listening_kafka(around))
    jobs = [
        Job(around, partition, end, wait_seconds, touched_since, version) for partition, end in sorted(ends.items())
    ]
    began = time.monotonic()
    with progress_bar() as progress:
        done = check_all(jobs, workers or enough(sum(ends.values()), len(jobs)), shown(progress))
    answer = _answer(done, time.monotonic() - began)
    if announce:
        alarm_events(around, done)
    if version is not None:
        answer = answer.model_copy(update={"version": _settle(around, version, answer)})
    if json:
        emit_json(answer.model_dump(mode="json"))
    else:
        _print(answer)
    if answer.differing:
        raise typer.Exit(EXIT_FOUND)


def _answer(done: list[Done], seconds: float) -> api.Rebuild:
    checked = {each.partition: each.checked for each in done}
    differing = [
        api.DifferingDossier(dossier=key, partition=partition, fault=", ".join(found.faults))
        for partition, each in sorted(checked.items())
        for key, found in each.differing.items()
    ]
    events = sum(each.events for each in done)
    peaks: dict[int, int] = {}
    for each in done:
        peaks[each.pid] = max(peaks.get(each.pid, 0), each.peak_bytes)
    return api.Rebuild(
        compared=sum(each.compared for each in checked.values()),
        differing=len(differing),
        first_differing=differing[:SHOWN],
        unsettled=sum(each.unsettled for each in checked.values()),
        unreadable=sum(each.unreadable for each in checked.values()),
        alarms=api.AlarmTally(
            **{
                name: sum(getattr(each.alarms, name) for each in checked.values())
                for name in api.AlarmTally.model_fields
            }
        ),
        positions={str(partition): each.position for partition, each in sorted(checked.items())},
        version=None,
        rulebook=done[0].checked.rulebook if done else "",
        events=events,
        events_per_second=round(events / seconds) if seconds else 0,
        peak_memory_mib=round(sum(peaks.values()) / 2**20),
    )


def _settle(around: Surroundings, version: int, answer: api.Rebuild) -> int | None:
    """Show the new version if it agrees with the live state; else drop it, the old one stays."""
    from clickhouse_connect.driver.exceptions import ClickHouseError

    try:
        with open_states(around) as states:
            if answer.differing:
                states.discard(version)
                return None
            positions = {int(partition): end for partition, end in answer.positions.items()}
            states.publish(version, positions, answer.compared, answer.rulebook)
            return version
    except ClickHouseError as error:
        raise not_answered(around, error) from error


def _print(answer: api.Rebuild) -> None:
    out.print(f"{number(answer.compared)} hồ sơ so sánh · dossiers compared, {number(answer.differing)} khác · differ")
    alarms = answer.alarms
    out.print(
        f"{number(alarms.recomputed)} cảnh báo tính lại · alarms recomputed, "
        f"{number(alarms.published)} đã phát · published, {number(alarms.missing)} thiếu · missing, "
        f"{number(alarms.extra)} thừa · extra"
    )
    for each in answer.first_differing:
        out.print(f"  {each.dossier} (partition {each.partition}): {each.fault}", markup=False)
    if answer.differing > len(answer.first_differing):
        out.print(f"  … {number(answer.differing - len(answer.first_differing))} nữa · more")
    if answer.unsettled:
        out.print(
            f"{number(answer.unsettled)} chưa đứng yên · changed all the time; the next comparison will have them"
        )
    if answer.version is not None:
        out.print(f"phiên bản · version {answer.version} → dossier_states_now")
    out.print(f"{number(answer.events_per_second)} sự kiện/giây · events/s, {answer.peak_memory_mib} MiB")
