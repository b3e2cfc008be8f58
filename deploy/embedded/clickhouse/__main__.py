"""`python -m deploy.embedded.clickhouse`: see the package's docstring for the command line."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import fcntl
import ipaddress
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import structlog
import uvicorn

from deploy.embedded.clickhouse.access import Users
from deploy.embedded.clickhouse.engine import ChdbEngine
from deploy.embedded.clickhouse.http import Server
from deploy.logs import configure_logging

USERS_VARIABLE = "DOSSIER_CLICKHOUSE_USERS"
EXIT_FAILED, EXIT_USAGE, EXIT_IN_USE = 1, 2, 3
MAX_URL_BYTES = 1 << 20  # ClickHouse's http_max_uri_size: query parameters travel in the URL
# When told to stop. The supervisor waits longer than the last of them.
GRACE_SECONDS = 5  # for the requests in hand to finish; then their queries are killed
PATIENCE_SECONDS = 8  # for clients that neither send the rest of their request nor go away
STOP_SECONDS = 12  # for everything; then the kernel ends the process
_PARENT_POLL_SECONDS = 0.5

log = structlog.get_logger("deploy.embedded.clickhouse")


def main() -> int:
    """1. options and users, 2. the folders are ours, 3. the engine, 4. serve until told to stop."""
    options = _options()
    configure_logging("clickhouse", options.log_level)
    try:
        users = Users.from_json(os.environ.pop(USERS_VARIABLE, ""))
    except ValueError as error:
        return _fail(EXIT_USAGE, f"{USERS_VARIABLE} must hold the users as JSON: {error}")
    try:
        with _exclusive(options.data_dir), _private_temp(options.temp_dir) as temp_dir:
            engine = ChdbEngine(options.data_dir, temp_dir)
            server = Server(engine, users)
            try:
                asyncio.run(_serve(server, options))
            finally:
                server.close()
                engine.close()
    except BlockingIOError:
        return _fail(EXIT_IN_USE, f"{options.data_dir} belongs to another running ClickHouse process")
    except OSError as error:
        return _fail(EXIT_USAGE, str(error))
    except Exception:  # the last place before Python's own traceback, which is no line of a log
        log.exception("it cannot go on")
        return EXIT_FAILED
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.embedded.clickhouse", description=__doc__)
    parser.add_argument("--data-dir", type=_folder, required=True, help="the tables; one process at a time")
    parser.add_argument("--temp-dir", type=_folder, required=True, help="a private folder in it is emptied at start")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", type=_loopback, default="127.0.0.1", help="a loopback address")
    parser.add_argument(
        "--parent",
        type=int,
        default=os.getppid(),
        help="stop when that process is our parent no more; 0: do not watch (default: whoever started us)",
    )
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    return parser.parse_args()


def _folder(text: str) -> Path:
    if set(text) & set("?&#%"):
        raise argparse.ArgumentTypeError(f"{text!r}: the engine cannot open a path with ?, &, # or % in it")
    return Path(text).resolve()


def _loopback(text: str) -> str:
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(text).is_loopback:
            return text
    raise argparse.ArgumentTypeError(f"{text!r} is not a loopback address such as 127.0.0.1")


@contextlib.contextmanager
def _exclusive(data_dir: Path) -> Iterator[None]:
    """Hold the data folder; BlockingIOError where another process holds it. The kernel frees it after any death."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (data_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(data_dir / "tmp", ignore_errors=True)  # chDB makes it whatever its configuration says
        yield


@contextlib.contextmanager
def _private_temp(temp_dir: Path) -> Iterator[Path]:
    """An empty folder of ours for everything the engine spills: a killed process leaves rows behind in plain text."""
    private = temp_dir / "clickhouse"
    shutil.rmtree(private, ignore_errors=True)
    private.mkdir(mode=0o700, parents=True)
    os.environ["TMPDIR"] = str(private)
    try:
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)


async def _serve(server: Server, options: argparse.Namespace) -> None:
    # uvicorn raises the signal again once it has stopped; with this handler that is not the end of the process.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    web = _Web(
        server,
        uvicorn.Config(
            server,
            host=options.host,
            port=options.port,
            http="h11",
            h11_max_incomplete_event_size=MAX_URL_BYTES,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=PATIENCE_SECONDS,
        ),
    )
    watcher = asyncio.create_task(_stop_with_parent(web, options.parent))
    await web.serve()
    watcher.cancel()


class _Web(uvicorn.Server):
    """uvicorn, with an end that is bounded whatever the engine does."""

    def __init__(self, server: Server, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._server = server

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _end_within(STOP_SECONDS)
        finishing = asyncio.create_task(self._server.finish(GRACE_SECONDS))
        await super().shutdown(sockets)
        await finishing


def _end_within(seconds: int) -> None:
    """Whatever hangs, Python or the engine: SIGALRM ends the process, and the log says where each thread stood.

    Nothing acknowledged is lost by that: the tables survive a kill, and the kernel frees the data folder.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # it may have been inherited ignored
    faulthandler.register(signal.SIGALRM, chain=True)  # chain: after the dump the default, which is death
    signal.alarm(seconds)


async def _stop_with_parent(web: uvicorn.Server, parent: int) -> None:
    while parent <= 1 or os.getppid() == parent:  # noqa: ASYNC110 - the kernel sets no event for this
        await asyncio.sleep(_PARENT_POLL_SECONDS)
    log.warning("parent is gone, stopping", parent=parent)
    web.should_exit = True


def _fail(code: int, message: str) -> int:
    log.error(message)  # the supervisor shows this one line
    return code


if __name__ == "__main__":
    sys.exit(main())
