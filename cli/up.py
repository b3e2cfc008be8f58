"""`dossier up`, `down`, `status`: everything on one machine, supervised."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer
from rich.console import RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError, emit_json, err, number, out
from cli.keys import configured_signer, require_checkpoint_file, write_keys
from cli.simulate import require_profile
from cli.surroundings import nothing_runs
from cli.webhooks import require_alarms
from deploy.embedded.runtime import (
    EmbeddedError,
    ProcessEntry,
    Running,
    exclusive,
    find,
    is_alive,
    kept_clock,
    read_last,
    run_dir,
    stop_leftovers,
)
from deploy.logs import configure_logging
from schemas.clock import Clock, ClockError, parse_instant
from schemas.health import HealthReport, read_health
from schemas.settings import Settings, load_settings

if TYPE_CHECKING:
    from deploy.embedded.plan import Wishes

log = structlog.get_logger(__name__)

DOWN_LIMIT_SECONDS = 90.0
#: Healths of a process that does its work, were it slowly.
_WORKING = ("ok", "behind", "finished")
_HEALTHS = {
    "starting": "đang khởi động", "ok": "tốt", "behind": "đang đuổi theo", "failing": "gặp lỗi", "silent": "im lặng",
    "restarting": "khởi động lại", "finished": "đã xong", "failed": "hỏng", "stopping": "đang dừng",
    "stopped": "đã dừng",
}  # fmt: skip
_LEFT_OVER = "sót lại từ lần chạy bị tắt ngang · left over from a run that was killed"

DataDir = Annotated[Path | None, typer.Option(help="Where the state lives; default: .dossier (DOSSIER_DATA_DIR).")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def register(app: typer.Typer) -> None:
    for command in (up, down, status):
        app.command()(command)


def up(
    data_dir: DataDir = None,
    kafka: Annotated[str | None, typer.Option(help="Use this Kafka (HOST:PORT), not the embedded one.")] = None,
    clickhouse: Annotated[str | None, typer.Option(help="Use this ClickHouse (URL), not the embedded one.")] = None,
    kafka_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the embedded Kafka; 0: any.")] = 0,
    clickhouse_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the embedded archive; 0: any.")] = 0,
    gateway_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port of the gateway; 0: any.")] = None,
    simulate: Annotated[str | None, typer.Option(metavar="PROFILE", help="Feed it a simulated department.")] = None,
    clock: Annotated[
        str | None,
        typer.Option(metavar="START", help="Simulated time, the first time from this instant: 2026-02-09T08:00+07:00."),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(help="Simulated seconds in a real one: 600 a working day in a minute; default: 1, or as before."),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return when ready; `dossier down` stops it.")] = False,
) -> None:
    """Chạy tất cả trên một máy · Run everything on this machine: Kafka, ClickHouse, projector, archiver, gateway.

    Ports are free ones unless told, and the same again the next time. Ctrl-C stops all; the next start continues.

    With --clock, dues pass and alarms go off by a simulated clock; what is simulated comes when that clock reaches its
    time. Time does not go back: the next run on the same folder goes on where this one stopped, with --clock or
    without, and a folder that went by real time takes no clock that is behind it; give such a run a --data-dir of its
    own. (A clock in the settings is as it is set.) When something was recorded stays real: events of a simulated future
    are marked as occurred later than recorded (A08).

    Example: dossier up --simulate gia-lai-2020-h1 --clock 2020-01-06T07:00+07:00 --speed 600
    """
    from deploy.embedded.plan import Wishes

    if simulate is not None:
        require_profile(simulate)
    settings = load_settings(data_dir=data_dir, kafka=kafka, clickhouse=clickhouse, gateway_port=gateway_port)
    require_alarms(settings.webhooks)
    folder = settings.data_dir.resolve()
    if folder.exists() and not folder.is_dir():
        raise CommandError(f"--data-dir: {folder} is a file, not a folder", EXIT_USAGE)
    set_anew = clock is None and settings.clock is not None

    def choose(kept: Clock | None) -> Clock | None:
        return _clock(clock, speed, None if set_anew else kept)

    with _told_plainly():
        choose(kept_clock(folder))  # a wrong one is told before anything is there
    if detach:
        _detach(folder, [argument for argument in sys.argv[1:] if argument != "--detach"])
        return
    with _told_plainly(), _terminal(folder, settings.log_level) as terminal:
        wishes = Wishes(kafka_port, clickhouse_port, simulate)
        _run(folder, _signing(folder, settings, terminal), wishes, choose, terminal)


def _clock(start: str | None, speed: float | None, kept: Clock | None) -> Clock | None:
    """The simulated clock of this run; None: it goes by real time, or the settings. `kept`: what the last run went by.

    Raises:
        CommandError: it is no clock, or one by which time would go back.
    """
    goes_on = kept is not None and kept.is_simulated
    if start is None and not goes_on:
        if speed is not None:
            raise CommandError("--speed is the speed of --clock: give that too", EXIT_USAGE)
        return None
    now = datetime.now(UTC)
    try:
        begin = [] if start is None else [parse_instant(start)]
        begin += [kept.start] if kept is not None and goes_on else []
        same = kept.speed if kept is not None and start is None else 1.0
        clock = Clock(max(begin), now, same if speed is None else speed)
    except ClockError as error:
        raise CommandError(f"--clock: {error}", EXIT_USAGE) from error
    if kept is not None and not goes_on and clock.start < now:
        raise CommandError(
            "--clock: this folder went by real time, and time does not go back: name another (--data-dir FOLDER, "
            "DOSSIER_DATA_DIR)",
            EXIT_USAGE,
        )
    return clock


def _signing(folder: Path, settings: Settings, terminal: Terminal) -> Settings:
    """With a key to sign checkpoints, made when it is first needed, and a file that gets them all."""
    from replay.checkpoint import Signer

    name, keys = settings.ledger_name, folder / "keys"
    configured_signer(settings)  # a wrong one is told here, not by a process that starts again and again
    require_checkpoint_file(settings)
    key = settings.signing_key or keys / f"{name}.key"
    if settings.signing_key is None and not key.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _, public = write_keys(Signer.from_seed(name, secrets.token_bytes(32)), keys)
        terminal.say(
            f"đã tạo khóa ký · made a key to sign checkpoints; kiểm toán nhận · auditors get the public one: {public}"
        )
    file = settings.checkpoint_file or folder / "checkpoints.txt"
    return settings.model_copy(update={"signing_key": key.resolve(), "checkpoint_file": file.resolve()})


def _run(
    folder: Path, settings: Settings, wishes: Wishes, choose: Callable[[Clock | None], Clock | None], terminal: Terminal
) -> None:
    """1. own the folder, 2. clean up after a killed run, 3. plan, 4. supervise until told to stop."""
    from deploy.embedded.plan import make_plan
    from deploy.embedded.supervisor import Supervisor

    with exclusive(folder):
        kept = _clean_up(folder, terminal)
        wishes = replace(wishes, clock=choose(kept))
        plan = make_plan(folder, settings, wishes, terminal.say)
        terminal.say(f"đang khởi động · starting; dữ liệu, nhật ký · data, logs: {folder}")
        if wishes.clock is not None:
            _say_clock(wishes.clock, kept, terminal)
        asyncio.run(Supervisor(plan, folder, terminal.say, terminal.warn, terminal.show).run())
        terminal.say("đã dừng · stopped")


def _clean_up(folder: Path, terminal: Terminal) -> Clock | None:
    """After a killed run; gives what the last run went by, up to the end of its last process."""
    last, stopped = read_last(folder), stop_leftovers(folder)
    for name in stopped:
        terminal.say(f"đã dừng · stopped {name}, {_LEFT_OVER}")
    kept = kept_clock(folder)
    if stopped and last is not None and last.clock is not None and kept is not None and kept.is_simulated:
        return max(kept, Clock.parse(last.clock).going_on(datetime.now(UTC)), key=lambda each: each.start)
    return kept


def _say_clock(clock: Clock, kept: Clock | None, terminal: Terminal) -> None:
    from cli.watching import moment

    goes_on = kept is not None and clock.start == kept.start
    where = ", từ chỗ lần trước dừng · where the last run stopped" if goes_on else ""
    terminal.say(f"đồng hồ mô phỏng · simulated clock: {moment(clock.start)}{where}, nhanh · fast ×{clock.speed:g}")


def down(data_dir: DataDir = None) -> None:
    """Dừng tất cả · Stop the `dossier up` that runs on this data folder, and wait until all of it has stopped.

    Example: dossier down
    """
    folder = load_settings(data_dir=data_dir).data_dir.resolve()
    running = find(folder)
    if running is None:
        left = read_last(folder)
        if left is None or not any(is_alive(entry.pid, entry.created) for entry in left.processes):
            raise nothing_runs(folder)
        with _told_plainly(), exclusive(folder):
            out.print(f"đã dừng · stopped {', '.join(stop_leftovers(folder))}, {_LEFT_OVER}")
        return
    _stop(running)
    out.print(f"đã dừng · stopped (pid {running.pid})")


def _stop(running: Running) -> None:
    members = [(running.pid, running.created)] + [(each.pid, each.created) for each in running.processes]
    _signal(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_LIMIT_SECONDS
    while any(is_alive(pid, created) for pid, created in members):
        if time.monotonic() > deadline:
            _kill_all(members)
            raise CommandError(f"it did not stop within {DOWN_LIMIT_SECONDS:.0f} s and was killed; nothing is lost")
        time.sleep(0.05)


def _kill_all(members: Sequence[tuple[int | None, float | None]]) -> None:
    for pid, created in members:
        if pid is not None and is_alive(pid, created):
            _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def status(data_dir: DataDir = None, json: Json = False) -> None:
    """Tình trạng · What runs on this data folder, how well, how far it has read, and the addresses.

    With --json the addresses are `kafka`, `clickhouse` and `gateway`, at the top and once more under `addresses`.

    Exits with 1 while something of it does not work yet, or not any more; with 3 if nothing runs.

    Example: dossier status --json
    """
    folder = load_settings(data_dir=data_dir).data_dir.resolve()
    running = find(folder)
    if running is None:
        raise nothing_runs(folder)
    now = _as_json(folder, running)
    if json:
        emit_json(now)
    else:
        _show(folder, running)
    if not now["ready"]:
        raise typer.Exit(EXIT_FOUND)


def _show(folder: Path, running: Running) -> None:
    from cli.watching import moment

    out.print(_table(folder, running))
    for name, address in _addresses(running).items():
        out.print(f"{name:<11} {address}", markup=False)
    if (simulated := _simulated(running)) is not None:
        shown = moment(datetime.fromisoformat(simulated["now"]))
        out.print(f"{'đồng hồ · clock':<11} {shown} (mô phỏng · simulated, ×{simulated['speed']:g})")


def _simulated(running: Running) -> dict[str, Any] | None:
    """The simulated clock of the processes and what it shows; None: they go by real time."""
    if running.clock is None:
        return None
    clock = Clock.parse(running.clock)
    return {"setting": running.clock, "now": clock.now().isoformat(timespec="seconds"), "speed": clock.speed}


def _as_json(folder: Path, running: Running) -> dict[str, Any]:
    processes = [_process(folder, entry) for entry in running.processes]
    return {
        "data_dir": str(folder),
        "pid": running.pid,
        "ready": running.ready and all(each["health"] in _WORKING for each in processes),
        "addresses": _addresses(running),
        **_addresses(running),  # where a program looks that knows one name only
        "clock": _simulated(running),
        "processes": processes,
    }


def _addresses(running: Running) -> dict[str, str | None]:
    return {"kafka": running.kafka, "clickhouse": running.clickhouse, "gateway": running.gateway}


def _process(folder: Path, entry: ProcessEntry) -> dict[str, Any]:
    """One process: the supervisor's word on its life, its own word on its work."""
    report = read_health(run_dir(folder) / f"{entry.name}.health.json")
    if report is not None and report.pid != entry.pid:
        report = None  # of an earlier life
    return {
        "name": entry.name,
        "pid": entry.pid,
        "health": _health(entry, report),
        "position": report.position if report else None,
        "lag": report.lag if report else None,
        "restarts": entry.restarts,
        "detail": entry.detail or (report.detail if report else ""),
    }


def _health(entry: ProcessEntry, report: HealthReport | None) -> str:
    if entry.state != "ok" or report is None:
        return entry.state
    return "silent" if report.is_stale(datetime.now(UTC)) else report.health


def _table(folder: Path, running: Running) -> Table:
    table = Table("tiến trình\nprocess", "tình trạng\nhealth", "\npid", box=None, pad_edge=False)
    for head in ("vị trí\nposition", "chậm\nlag", "chạy lại\nrestarts"):
        table.add_column(head, justify="right")
    table.add_column("")
    for entry in running.processes:
        process = _process(folder, entry)
        position = number(sum(process["position"].values())) if process["position"] else ""
        lag = "" if process["lag"] is None else number(process["lag"])
        health = f"{_HEALTHS[process['health']]} · {process['health']}"
        cells = (process["pid"] or "", position, lag, process["restarts"] or "", process["detail"])
        table.add_row(entry.name, health, *(Text(str(cell)) for cell in cells))
    return table


class Terminal:
    """Where a running `up` tells a person what happens: a live table on a terminal, plain lines elsewhere."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: Running | None = None

    def say(self, line: str) -> None:
        log.info(line)
        _print_if_read(line)

    def warn(self, line: str) -> None:
        log.warning(line)
        _print_if_read(line, "yellow")

    def show(self, running: Running) -> None:
        """The processes changed; the first time all of them work, say where the board is."""
        was_ready = self._running is not None and self._running.ready
        self._running = running
        if running.ready and not was_ready:
            self.say(f"ready · Bảng điều hành · board: {running.gateway}/")

    def render(self) -> RenderableType:
        return _table(self._folder, self._running) if self._running else ""


def _print_if_read(line: str, style: str | None = None) -> None:
    """A terminal may be closed, or who reads a pipe end: that is no reason to stop, nor one not to stop in order."""
    with contextlib.suppress(OSError):
        err.print(line, style=style, markup=False, soft_wrap=True)


@contextlib.contextmanager
def _terminal(folder: Path, level: str) -> Iterator[Terminal]:
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (logs / "up.log").open("a", encoding="utf-8", buffering=1) as file:
        configure_logging("up", level, file)
        terminal = Terminal(folder)
        if not err.is_terminal:
            yield terminal
            return
        live = Live(get_renderable=terminal.render, console=err, refresh_per_second=2, transient=True)
        live.start()
        try:
            yield terminal
        finally:
            with contextlib.suppress(OSError):
                live.stop()


@contextlib.contextmanager
def _told_plainly() -> Iterator[None]:
    try:
        yield
    except EmbeddedError as error:
        raise CommandError(str(error)) from error


def _detach(folder: Path, arguments: list[str]) -> None:
    """Start the same command in a session of its own and wait until it is ready or has failed."""
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    output = logs / "up.out"
    output.unlink(missing_ok=True)  # if another `up` still writes to it, it keeps its own
    with output.open("wb") as file:
        child = subprocess.Popen(  # noqa: S603  # our own command with the user's own arguments
            [sys.executable, "-P", "-m", "cli", *arguments],
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    try:
        running = _until_ready(folder, child, output)
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        raise
    for name, address in _addresses(running).items():
        out.print(f"{name:<11} {address}", markup=False)


def _until_ready(folder: Path, child: subprocess.Popen[bytes], output: Path) -> Running:
    told = _follow(output, lambda line: err.print(line, markup=False, soft_wrap=True))
    while child.poll() is None:
        running = find(folder)
        next(told)
        if running is not None and running.pid == child.pid and running.ready:
            return running
        time.sleep(0.1)
    lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
    reason = next((line for line in reversed(lines) if line.startswith("error ")), "error it ended at once")
    raise CommandError(reason.removeprefix("error "), child.returncode or 1)


def _follow(path: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Each `next` passes on the lines that were added, except the error: that one is reported as such."""
    with path.open(encoding="utf-8", errors="replace") as file:
        rest = ""
        while True:
            *lines, rest = (rest + file.read()).split("\n")
            for line in lines:
                if not line.startswith("error "):
                    tell(line)
            yield
