"""Run a command that dies with the process that started it: `python -m deploy.embedded.leash PARENT_PID COMMAND…`.

Replaces itself by the command, so the pid stays. The kernel keeps the promise (Linux: PR_SET_PDEATHSIG, which survives
exec). Elsewhere the command is only run, and the next `dossier up` stops what a killed one left behind.

It is a program and not a `preexec_fn`, since Python code between fork and exec can deadlock in a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent_pid: int, command: list[str]) -> None:
    """Bind this process's life to `parent_pid`, then become `command`."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before we asked to be told
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606  # the supervisor's own command, no shell wanted


def leashed(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command line that runs `command` on the leash of the calling process."""
    # -S -E: the launcher needs no site-packages; -P: nothing is imported from the working directory.
    return (sys.executable, "-ESP", __file__, str(os.getpid()), *command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
