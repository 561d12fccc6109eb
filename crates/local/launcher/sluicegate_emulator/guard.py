"""The cleanup after a killed emulator: a small process that waits for the emulator to end.

`python -m sluicegate_emulator.guard GROUP` reads its input to the end. The emulator holds the other side of the pipe, and
writes a byte before it ends normally. Without that byte, the guard kills the remaining processes of the emulator's process
group (Lambda workers) and removes the instance's containers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys


def kill_rest() -> None:
    """Kills the other processes of this process group."""
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):
                if os.getpgid(int(name)) == os.getpgid(0):
                    os.kill(int(name), signal.SIGKILL)


def start(docker_host: str | None) -> subprocess.Popen:
    """Starts the guard of this process, which must lead a process group. `docker_host` is the address of its engine."""
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    if docker_host is not None:
        environment["DOCKER_HOST"] = docker_host
    return subprocess.Popen(
        [sys.executable, "-m", "sluicegate_emulator.guard", str(os.getpid())],
        stdin=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )


def dismiss(guard: subprocess.Popen) -> None:
    """Ends the guard without a cleanup."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        guard.communicate(b".", timeout=2)


def main() -> None:
    """Waits for the emulator to end, and cleans up if it was killed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.stdin.buffer.read():
        return
    with contextlib.suppress(OSError):
        os.killpg(int(sys.argv[1]), signal.SIGKILL)
    from sluicegate_emulator.containers import engine

    engine.connect()
    engine.remove_all()


if __name__ == "__main__":
    main()
