"""Injected failures."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Emulator, free_port
from machines import branch, output, run, unique
from fakes import Fakes
from test_jobs import job


def call(emulator: Emulator, method: str, body: object = None) -> dict:
    """Calls the fault interface."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(emulator.url + "/_sluicegate/faults", data=data, method=method)
    with urllib.request.urlopen(request, timeout=5) as reply:
        return json.loads(reply.read())


@pytest.fixture
def clean(patched: Emulator) -> Iterator[Emulator]:
    """Clears the faults before and after a test."""
    call(patched, "DELETE")
    yield patched
    call(patched, "DELETE")


def test_a_task_fails_instead_of_running(clean: Emulator, fakes: Fakes) -> None:
    tag, state = unique(), unique("State")
    call(clean, "POST", {"state": state, "error": "States.TaskFailed", "cause": "on order"})
    result = run(clean, {"Each": {"Type": "Map", "Items": [1], "ItemProcessor": branch({state: job("ok", tag)})}})
    assert (result["error"], result["cause"]) == ("States.TaskFailed", "on order")
    assert fakes.of(tag) == []
    assert call(clean, "GET") == {
        "armed": [],
        "fired": [{"state": state, "error": "States.TaskFailed", "cause": "on order", "after": False}],
    }


def test_the_reply_of_a_task_is_lost_after_it_ran(clean: Emulator, fakes: Fakes) -> None:
    tag, state = unique(), unique("State")
    call(clean, "POST", {"state": state, "error": "States.Timeout", "after": True})
    assert run(clean, {state: job("ok", tag)})["error"] == "States.Timeout"
    assert len(fakes.of(tag)) == 1


def test_attempts_are_skipped_and_counted(clean: Emulator, fakes: Fakes) -> None:
    tag, state = unique(), unique("State")
    call(clean, "POST", {"state": state, "error": "Flaky", "times": 2, "skip": 1})
    retry = [{"ErrorEquals": ["Flaky"], "IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 5}]
    items = {"Type": "Map", "Items": [1, 2], "MaxConcurrency": 1}
    result = run(clean, {"Each": {**items, "ItemProcessor": branch({state: job("ok", tag, Retry=retry)})}})
    assert len(output(result)) == 2
    assert len(fakes.of(tag)) == 2
    assert len(call(clean, "GET")["fired"]) == 2


def test_a_wrong_order_is_refused(clean: Emulator) -> None:
    for body in ({}, {"state": "A", "time": 1}, {"state": "A", "times": "1"}, []):
        with pytest.raises(urllib.error.HTTPError) as refused:
            call(clean, "POST", body)
        assert refused.value.code == 400


def test_without_leave_there_are_no_faults(tmp_path: Path) -> None:
    emulator = Emulator(True, tmp_path, None, free_port(), environment={"SLUICEGATE_FAULTS": "0"})
    emulator.start()
    try:
        with pytest.raises(urllib.error.HTTPError):
            call(emulator, "GET")
    finally:
        emulator.stop()
