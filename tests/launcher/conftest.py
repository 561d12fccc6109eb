"""Fixtures: an emulator with the patches, emulators without them, and fakes for Batch and CodeBuild.

The emulators live for the session, each on a free port with its own directory. A test marked with `@patch(name)` must pass with
the patches and fail without them. If it passes without them, MiniStack has caught up and the patch can be removed. Put the
setup of a test in a fixture, because a failed setup does not prove that a patch is needed. Neither does a refused call that AWS
would accept, unless the test asserts that it is accepted (`error_of`).

The unpatched MiniStack has no Docker engine, with which it would start more than tasks, except for `@patch(name, engine=True)`.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from fakes import Fakes

LAUNCHER = Path(__file__).resolve().parents[2] / "crates" / "local" / "launcher"
REGION = "eu-west-1"
ACCOUNT = "000000000000"
ENGINE = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")


def free_port() -> int:
    """Returns a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Emulator:
    """A running emulator."""

    patched: bool
    directory: Path
    fakes: Fakes | None
    port: int = field(default_factory=free_port)
    instance: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    stdin: int | None = None
    process: subprocess.Popen | None = None
    idle: tuple[float, socket.socket] | None = None
    _clients: dict = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def patience(self) -> float:
        """Seconds to wait for an expected event. Short without the patches, where it is not expected."""
        return 30 if self.patched else 5

    def start(self) -> None:
        """Starts the process and waits until it responds."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.instance = self.instance or f"test-{os.getpid()}-{self.port}"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "TMPDIR": str(self.directory),
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "IOT_MTLS_ENABLED": "0",
            "LAMBDA_EXECUTOR": "local",
            "SLUICEGATE_INSTANCE": self.instance,
            "SLUICEGATE_FAULTS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "DOCKER_HOST": ENGINE if self.patched else "unix:///nowhere.sock",
            **self.environment,
        }
        if self.fakes is not None:
            environment["AWS_ENDPOINT_URL_BATCH"] = environment["AWS_ENDPOINT_URL_CODEBUILD"] = self.fakes.url
        log = (self.directory / "log").open("wb")
        module = "sluicegate_emulator" if self.patched else "ministack"
        self.process = subprocess.Popen(
            [sys.executable, "-m", module], cwd=LAUNCHER, env=environment, stdin=self.stdin, stdout=log, stderr=log,
            start_new_session=True)
        self.wait(self._answers, "the emulator to answer", 30)
        self.idle = time.monotonic(), socket.create_connection(("127.0.0.1", self.port), 10)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.directory / "log").read_text()
        try:
            with urllib.request.urlopen(self.url + "/_ministack/health", timeout=2):
                return True
        except OSError:
            return False

    def stop(self) -> None:
        """Stops the process, and everything that it started if it does not do so itself."""
        self.idle[1].close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        finally:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()

    def client(self, service: str, **config: object):  # noqa: ANN201
        """Returns a boto3 client."""
        key = (service, tuple(sorted(config)))
        if key not in self._clients:
            self._clients[key] = boto3.client(
                service,
                endpoint_url=self.url,
                region_name=REGION,
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=Config(retries={"total_max_attempts": 1}, inject_host_prefix=False, **config),
            )
        return self._clients[key]

    def wait(self, condition: Callable[[], object], what: str, seconds: float | None = None) -> object:
        """Waits until a condition holds and returns its value. Fails after the deadline."""
        end = time.monotonic() + (seconds or self.patience)
        while not (value := condition()):
            assert time.monotonic() < end, f"waited in vain for {what}"
            time.sleep(0.05)
        return value


def patch(name: str, *, engine: bool = False) -> Callable[[Callable], Callable]:
    """Marks a test of a patch: it passes with the patches and fails without them. Set `engine` if it needs an engine."""

    def decorate(test: Callable) -> Callable:
        @pytest.mark.parametrize("emulator", ["patched", "plain_with_engine" if engine else "plain"], indirect=True)
        @functools.wraps(test)
        def run(emulator: Emulator, **fixtures: object) -> None:
            if emulator.patched:
                test(emulator, **fixtures)
                return
            try:
                test(emulator, **fixtures)
            except AssertionError:
                return
            version = importlib.metadata.version("ministack")
            pytest.fail(f"MiniStack {version} no longer needs {name}: drop it")

        return run

    return decorate


@pytest.fixture(scope="session")
def fakes() -> Iterator[Fakes]:
    """Returns the fakes of Batch and CodeBuild."""
    server = Fakes()
    yield server
    server.close()


@pytest.fixture(scope="session")
def patched(tmp_path_factory: pytest.TempPathFactory, fakes: Fakes) -> Iterator[Emulator]:
    """Starts the emulator with the patches."""
    emulator = Emulator(True, tmp_path_factory.mktemp("patched"), fakes)
    emulator.start()
    yield emulator
    emulator.stop()


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory, fakes: Fakes) -> Iterator[Emulator]:
    """Starts the unpatched MiniStack."""
    emulator = Emulator(False, tmp_path_factory.mktemp("plain"), fakes)
    emulator.start()
    yield emulator
    emulator.stop()


@pytest.fixture(scope="session")
def plain_with_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Starts the unpatched MiniStack with the Docker engine."""
    emulator = Emulator(
        False, tmp_path_factory.mktemp("plain_with_engine"), None, environment={"DOCKER_HOST": ENGINE})
    emulator.start()
    yield emulator
    emulator.stop()


@pytest.fixture
def emulator(request: pytest.FixtureRequest) -> Emulator:
    """Returns the emulator that a test of a patch runs against."""
    return request.getfixturevalue(request.param)
