"""Injected failures of task states, for tests: `/_sluicegate/faults`, only with `SLUICEGATE_FAULTS=1`.

    POST   {"state": "RunPlan", "error": "States.TaskFailed", "cause": "...", "times": 1, "skip": 0, "after": false}
    GET    {"armed": [...], "fired": [{"state", "error", "cause", "after"}, ...]}
    DELETE clears both

A fault applies to the next attempts of the named task state in any execution, including in Map and Parallel: `skip` attempts
run normally, then `times` attempts fail with the error. With `after`, the task runs first and its reply is lost.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass

PATH = "/_sluicegate/faults"


@dataclass
class Fault:
    """One armed failure."""

    state: str
    error: str = "States.TaskFailed"
    cause: str = ""
    times: int = 1
    skip: int = 0
    after: bool = False

    @classmethod
    def parse(cls, body: bytes) -> Fault:
        """Parses a request's body. Raises `ValueError` with the reason when it is invalid."""
        data = json.loads(body or b"{}")
        if not isinstance(data, dict) or not isinstance(data.get("state"), str):
            raise ValueError('expected a JSON object with "state": the name of a task state')
        kinds = {name: type(value) for name, value in asdict(cls("")).items()}
        for key, value in data.items():
            if key not in kinds:
                raise ValueError(f'unknown key "{key}"; known: {", ".join(kinds)}')
            if type(value) is not kinds[key]:
                raise ValueError(f'"{key}" must be a {kinds[key].__name__}')
        return cls(**data)


_lock = threading.Lock()
_armed: list[Fault] = []
_fired: list[dict] = []


def take(state: str) -> Fault | None:
    """Returns the fault that applies to this attempt of a task state, if any."""
    with _lock:
        for fault in _armed:
            if fault.state != state:
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.times -= 1
            if fault.times <= 0:
                _armed.remove(fault)
            _fired.append({"state": state, "error": fault.error, "cause": fault.cause, "after": fault.after})
            return fault
    return None


def answer(method: str, body: bytes) -> tuple[int, dict, bytes]:
    """Serves the HTTP interface."""
    status, reply = 200, {}
    with _lock:
        if method == "POST":
            try:
                _armed.append(Fault.parse(body))
            except ValueError as err:
                status, reply = 400, {"message": str(err)}
        elif method == "DELETE":
            _armed.clear()
            _fired.clear()
        elif method == "GET":
            reply = {"armed": [asdict(fault) for fault in _armed], "fired": list(_fired)}
        else:
            status, reply = 405, {"message": "GET, POST or DELETE"}
    return status, {"Content-Type": "application/json"}, json.dumps(reply).encode()


def apply() -> None:
    """Adds the interface to the emulator's port if `SLUICEGATE_FAULTS` is 1."""
    if os.environ.get("SLUICEGATE_FAULTS") != "1":
        return
    from ministack import app

    original = app._handle_post_body_shortcuts

    async def shortcuts(method: str, path: str, headers: dict, body: bytes, *rest: object) -> object:
        if path == PATH:
            return answer(method, body)
        return await original(method, path, headers, body, *rest)

    app._handle_post_body_shortcuts = shortcuts
