"""The launcher's process: what it refuses, what it writes, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import LAUNCHER, Emulator, free_port
from machines import begin, function, unique
from test_services import RUNTIME


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[Emulator]:
    """Returns an emulator for one test."""
    emulator = Emulator(True, tmp_path / "emulator", None, free_port())
    emulator.start()
    yield emulator
    emulator.stop()


def group(leader: int) -> list[int]:
    """Returns the processes of a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getpgid(int(entry.name)) == leader and "Z" not in (entry / "stat").read_text().split(")")[1][:3]:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_sigterm_ends_it_at_once_and_leaves_no_process(launched: Emulator) -> None:
    name = function(launched, bootstrap=RUNTIME)
    launched.client("lambda").invoke(FunctionName=name, Payload=b"{}")
    busy = function(launched)
    begin(launched, {"Call": {
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": busy, "Payload": {"sleep": 15}}}})
    launched.wait(lambda: len(group(launched.process.pid)) > 2, "the functions' processes")
    start = time.monotonic()
    launched.process.send_signal(signal.SIGTERM)
    assert launched.process.wait(10) == 0
    assert time.monotonic() - start < 5
    assert group(launched.process.pid) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_killed_emulator_leaves_no_process_either(launched: Emulator) -> None:
    name = function(launched, bootstrap=RUNTIME)
    launched.client("lambda").invoke(FunctionName=name, Payload=b"{}")
    assert len(group(launched.process.pid)) == 2
    launched.process.kill()
    launched.process.wait(10)
    launched.wait(lambda: group(launched.process.pid) == [], "the function's process to be killed")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_it_ends_with_its_owner(tmp_path: Path) -> None:
    ours, owners = os.pipe()
    emulator = Emulator(True, tmp_path / "owned", None, free_port(), environment={"SLUICEGATE_OWNED": "1"}, stdin=ours)
    emulator.start()
    os.close(ours)
    assert emulator.process.poll() is None
    os.close(owners)
    assert emulator.process.wait(10) == 0
    assert group(emulator.process.pid) == []


def test_everything_it_writes_is_below_its_directory(launched: Emulator, tmp_path: Path) -> None:
    def strays() -> set[str]:
        return {entry.name for entry in Path("/tmp").iterdir() if str(launched.port) in entry.name}

    launched.client("s3").create_bucket(
        Bucket=unique("b"), CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    name = function(launched, bootstrap=RUNTIME)
    launched.client("lambda").invoke(FunctionName=name, Payload=b"{}")
    assert strays() == set()
    assert any(launched.directory.iterdir())


def start(environment: dict[str, str], code: str = "") -> subprocess.CompletedProcess:
    """Runs the launcher after some code, and expects it to refuse."""
    command = [sys.executable, "-c", f"{code}\nfrom sluicegate_emulator.process import main\nmain()"]
    return subprocess.run(
        command, cwd=LAUNCHER, env={"PATH": os.environ["PATH"], **environment}, capture_output=True, text=True,
        timeout=20)


def test_another_ministack_is_refused(tmp_path: Path) -> None:
    code = "import importlib.metadata\nimportlib.metadata.version = lambda name: '9.9.9'"
    done = start({"TMPDIR": str(tmp_path), "GATEWAY_PORT": str(free_port())}, code)
    assert done.returncode == 1
    assert "written for MiniStack 1.5.33, but the installed version is 9.9.9" in done.stderr
    assert "requirements.txt" in done.stderr


def test_a_missing_variable_is_named() -> None:
    done = start({"GATEWAY_PORT": str(free_port())})
    assert done.returncode == 1
    assert "TMPDIR is not set" in done.stderr
