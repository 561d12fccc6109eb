"""The emulator's process: environment, startup and shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import os
import signal
import sys
import tempfile
from collections.abc import Callable

from sluicegate_emulator import MINISTACK, guard

_at_end: list[Callable[[], None]] = []


def at_end(clean: Callable[[], None]) -> None:
    """Registers a cleanup function. The last registered function runs first."""
    _at_end.append(clean)


def check_version() -> None:
    """Exits with a message when the installed MiniStack is not the supported version."""
    try:
        found = importlib.metadata.version("ministack")
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != MINISTACK:
        sys.exit(
            f"sluicegate_emulator: the patches are written for MiniStack {MINISTACK}, but the installed version is "
            f"{found}. Install the pinned one: pip install --require-hashes -r crates/local/launcher/requirements.txt"
        )


def set_environment() -> None:
    """Sets the variables that MiniStack reads on import. Exits with a message when a required one is missing."""
    for name in ("GATEWAY_PORT", "TMPDIR"):
        if not os.environ.get(name):
            sys.exit(f"sluicegate_emulator: the environment variable {name} is not set; see the launcher's README")
    directory = tempfile.gettempdir()
    for name, value in {
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_HOSTNAME": "127.0.0.1",
        "LAMBDA_EXECUTOR": "local",
        "IOT_MTLS_ENABLED": "0",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}",
        "SLUICEGATE_INSTANCE": f"emulator-{os.environ['GATEWAY_PORT']}",
        "STATE_DIR": os.path.join(directory, "state"),
        "S3_DATA_DIR": os.path.join(directory, "s3"),
    }.items():
        os.environ.setdefault(name, value)


async def _serve(original: Callable, app: object, config: object) -> None:
    """Serves until SIGTERM or SIGINT, then ends the process without waiting for open requests."""
    from sluicegate_emulator import answers
    from sluicegate_emulator.containers import engine

    config.keep_alive_timeout = answers.IDLE
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if os.environ.get("SLUICEGATE_OWNED"):  # the owner holds the other end; readable means that it is gone
        loop.add_reader(sys.stdin.fileno(), stop.set)
    if engine.gateway():  # for containers
        config.bind.append(f"{engine.gateway()}:{os.environ['GATEWAY_PORT']}")
    server = asyncio.create_task(original(app, config, shutdown_trigger=asyncio.Event().wait))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({server, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if server.done():
        server.result()
    _end(0)


def _end(status: int) -> None:
    """Cleans up and ends the process, even if threads still run."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for clean in reversed(_at_end):
        try:
            clean()
        except Exception as err:  # noqa: BLE001: the other cleanups must still run
            print(f"sluicegate_emulator: {clean.__qualname__} failed at the end: {err}", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _kill_workers() -> None:
    from ministack.core import lambda_runtime

    lambda_runtime.reset()


def main() -> None:
    """Checks the version, applies the patches and serves. Does not return."""
    check_version()
    set_environment()
    with contextlib.suppress(OSError):  # already a process group leader
        os.setsid()
    watching = guard.start(os.environ.get("DOCKER_HOST"))
    at_end(lambda: guard.dismiss(watching))
    at_end(guard.kill_rest)

    import hypercorn.asyncio
    from ministack import app

    from sluicegate_emulator import patches
    from sluicegate_emulator.containers import engine

    engine.connect()
    engine.remove_all()  # left by a killed emulator of the same name
    at_end(_kill_workers)
    at_end(engine.close)
    patches.apply_all()
    original = hypercorn.asyncio.serve

    async def serve(asgi: object, config: object) -> None:
        await _serve(original, asgi, config)

    serve.original = original  # for the servers of load balancers
    hypercorn.asyncio.serve = serve
    status = 1
    try:
        app.main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        _end(status)
