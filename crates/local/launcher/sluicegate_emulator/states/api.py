"""The rules of StartExecution, StopExecution and SendTask*."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from ministack.services import stepfunctions as sfn

from sluicegate_emulator.states import run
from sluicegate_emulator.states.attempt import LIMIT, TOKENS, Attempt, Error

_FORBIDDEN = re.compile(r"[\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]")


def _refuse(code: str, message: str) -> tuple:
    return sfn.error_response_json(code, message, 400)


def _too_long(field: str, limit: int) -> tuple:
    return _refuse(
        "ValidationException",
        f"1 validation error detected: Value at '{field}' failed to satisfy constraint: "
        f"Member must have length less than or equal to {limit}",
    )


def start_execution(original: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
    """Validates names and input. The same start is idempotent while the execution runs with the same input."""

    def start(data: dict) -> tuple:
        name, text = data.get("name"), data.get("input", "{}")
        if len(text.encode()) > LIMIT:
            return _too_long("input", LIMIT)
        try:
            json.loads(text)
        except ValueError as err:
            return _refuse("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{err}'")
        if name is None:
            return original(data)
        if not 1 <= len(name) <= 80 or _FORBIDDEN.search(name):
            return _refuse("InvalidName", f"Invalid Name: '{name}'")
        machine = sfn._resolve_state_machine_arn(data.get("stateMachineArn", "").split("#")[0]) or ""
        known = sfn._executions.get(f"{machine.replace(':stateMachine:', ':execution:')}:{name}")
        if known and known["status"] == "RUNNING" and known["input"] == text:
            return sfn.json_response({"executionArn": known["executionArn"], "startDate": known["startDate"]})
        return original(data)

    return start


def stop_execution(original: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
    """Stops an execution permanently: its tokens become invalid, its jobs are stopped, its status stays ABORTED."""

    def stop(data: dict) -> tuple:
        execution = sfn._executions.get(data.get("executionArn"))
        if execution:
            error, cause = data.get("error") or "", data.get("cause") or ""
            if run.end(execution, "ABORTED", error=error, cause=cause):
                return sfn.json_response({"stopDate": execution["stopDate"]})
        return original(data)

    return stop


def _with_attempt(act: Callable[[dict, Attempt], bool], original: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
    def answer(data: dict) -> tuple:
        token = data.get("taskToken") or ""
        if sfn._task_tokens.get(token):  # of an activity: handled by MiniStack
            return original(data)
        attempt, issued = TOKENS.find(token)
        if attempt is not None and act(data, attempt):
            return sfn.json_response({})
        if issued:
            return _refuse("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
        return _refuse("InvalidToken", "Invalid Token: 'Invalid token'")

    return answer


def send_task_success(original: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
    """Requires output that is JSON of at most 256 KiB. The first answer counts."""
    answer = _with_attempt(lambda data, attempt: attempt.succeed(json.loads(data["output"])), original)

    def send(data: dict) -> tuple:
        output = data.get("output", "")
        if len(output.encode()) > LIMIT:
            return _too_long("output", LIMIT)
        try:
            json.loads(output)
        except ValueError:
            return _refuse("InvalidOutput", f"Invalid Output: '{output[:100]}' is not JSON")
        return answer(data)

    return send


def send_task_failure(original: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
    """Requires an error of at most 256 characters and a cause of at most 32768."""
    answer = _with_attempt(
        lambda data, attempt: attempt.fail(Error(data.get("error", ""), data.get("cause", ""))), original
    )

    def send(data: dict) -> tuple:
        for field, limit in (("error", 256), ("cause", 32768)):
            if len(data.get(field) or "") > limit:
                return _too_long(field, limit)
        return answer(data)

    return send


def apply() -> None:
    """Replaces MiniStack's functions with those above."""
    sfn._start_execution = start_execution(sfn._start_execution)
    sfn._stop_execution = stop_execution(sfn._stop_execution)
    sfn._send_task_success = send_task_success(sfn._send_task_success)
    sfn._send_task_failure = send_task_failure(sfn._send_task_failure)
    sfn._send_task_heartbeat = _with_attempt(lambda _, attempt: attempt.beat(), sfn._send_task_heartbeat)
    original = sfn.reset

    def reset() -> None:
        run.forget()
        TOKENS.clear()
        original()

    sfn.reset = reset
