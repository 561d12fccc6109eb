"""The life cycle of an execution, and one level of its states."""

from __future__ import annotations

import contextvars
import json
import threading
from collections.abc import Callable

from ministack.services import stepfunctions as sfn

from sluicegate_emulator.states.attempt import Error, check_size
from sluicegate_emulator.states.scope import CURRENT, Scope, Stopped, current

_ending = threading.Lock()
_recording = threading.Lock()
_scopes: dict[str, Scope] = {}
_last_event: contextvars.ContextVar[int] = contextvars.ContextVar("last_event", default=0)


def scope_of(arn: str, parent: Scope | None = None) -> Scope:
    """Returns the scope of an execution, which is created at its start and kept until its end."""
    with _ending:
        if arn not in _scopes:
            _scopes[arn] = Scope(parent)
        return _scopes[arn]


def end(execution: dict, status: str, *, output: str | None = None, error: str = "", cause: str = "") -> bool:
    """Sets an execution's final status and stops what still runs. Returns False when it had already ended."""
    with _ending:
        if execution["status"] != "RUNNING":
            return False
        execution.update(status=status, output=output, stopDate=sfn.now_iso())
        if status != "SUCCEEDED":
            execution.update(error=error, cause=cause)
        scope = _scopes.pop(execution["executionArn"], None)
    kind = {"SUCCEEDED": "Succeeded", "FAILED": "Failed", "TIMED_OUT": "TimedOut", "ABORTED": "Aborted"}[status]
    details = {"output": output} if status == "SUCCEEDED" else {"error": error, "cause": cause}
    sfn._add_event(execution, f"Execution{kind}", {f"execution{kind}EventDetails": details})
    if scope is not None:
        scope.stop()
        scope.close()
    sfn._emit_execution_status_event(execution)
    return True


def run_execution(arn: str) -> None:
    """Runs an execution to its end, in the execution's own thread (MiniStack's thread target)."""
    execution = sfn._executions.get(arn)
    if not execution:
        return
    scope = scope_of(arn, CURRENT.get())
    if execution["status"] != "RUNNING":  # stopped before this thread started
        scope.stop()
        return
    before = CURRENT.set(scope)
    timer = None
    try:
        machine = sfn._state_machines.get(execution["stateMachineArn"])
        if not machine:
            raise Error("States.Runtime", "The state machine no longer exists")
        definition = json.loads(machine["definition"])
        data = json.loads(execution["input"])
        if seconds := definition.get("TimeoutSeconds"):
            context = contextvars.copy_context()
            timer = threading.Timer(seconds, context.run, (end, execution, "TIMED_OUT"), {"error": "States.Timeout"})
            timer.daemon = True
            timer.start()
        output = walk(definition.get("States", {}), definition.get("StartAt"), data, execution, {
            "QueryLanguage": definition.get("QueryLanguage", "JSONPath"),
            "Execution": {
                "Id": arn,
                "Input": data,
                "Name": execution["name"],
                "RoleArn": machine["roleArn"],
                "StartTime": execution["startDate"],
                "RedriveCount": 0,
            },
            "StateMachine": {"Id": execution["stateMachineArn"], "Name": machine["name"]},
            "variables": {},
        })
    except Stopped:
        return
    except Error as err:
        end(execution, "FAILED", error=err.error, cause=err.cause)
    except Exception as err:  # noqa: BLE001: after a defect here the execution must end, not hang
        sfn.logger.exception("execution %s failed in the emulator itself", arn)
        end(execution, "FAILED", error="States.Runtime", cause=str(err))
    else:
        end(execution, "SUCCEEDED", output=json.dumps(output))
    finally:
        CURRENT.reset(before)
        if timer is not None:
            timer.cancel()


def walk(states: dict, start_at: str | None, data: object, execution: dict, ctx: dict) -> object:
    """Runs one level of states (an execution, a branch, an iteration) from `start_at`. Returns its output.

    Raises a state's error that no Catch handled, or `Stopped` when the scope is stopped.
    """
    scope = current()
    name = start_at
    while name:
        scope.check()
        state = states.get(name)
        if not state:
            raise Error("States.Runtime", f"State '{name}' not found in definition")
        kind = state.get("Type")
        ctx["State"] = {"Name": name, "EnteredTime": sfn.now_iso(), "RetryCount": 0}
        details = {"name": name, "input": json.dumps(data)}
        sfn._add_event(execution, f"{kind}StateEntered", {"stateEnteredEventDetails": details})
        data, following = _step(kind, state, data, execution, ctx)
        check_size(data, f"state '{name}'")
        details = {"name": name, "output": json.dumps(data)}
        sfn._add_event(execution, f"{kind}StateExited", {"stateExitedEventDetails": details})
        name = following
    return data


def _step(kind: str | None, state: dict, data: object, execution: dict, ctx: dict) -> tuple:
    if kind == "Fail":
        raise Error(*sfn._fail_state_error(state, data, ctx))
    if kind == "Succeed":
        if sfn._state_query_language(state, ctx) == "JSONata":
            return sfn._apply_jsonata_output(state, data, ctx, default=data), None
        return sfn._apply_output_path(state, sfn._apply_input_path(state, data, ctx), ctx), None
    if kind in ("Task", "Parallel", "Map"):
        handler = {"Task": sfn._execute_task, "Parallel": sfn._execute_parallel, "Map": sfn._execute_map}[kind]
        return handler(state, data, execution, ctx)
    handler = {"Pass": sfn._execute_pass, "Choice": sfn._execute_choice, "Wait": sfn._execute_wait}.get(kind)
    if handler is None:
        raise Error("States.Runtime", f"Unknown state type: {kind}")
    return handler(state, data, ctx)


def add_event(execution: dict, kind: str, details: dict | None = None) -> dict:
    """Appends an event to an execution's history atomically, with the id of the previous event."""
    with _recording:
        event = {
            "id": len(execution["events"]) + 1,
            "previousEventId": _last_event.get(),
            "type": kind,
            "timestamp": sfn.now_iso(),
            **(details or {}),
        }
        execution["events"].append(event)
    _last_event.set(event["id"])
    return event


def assign(state: dict, raw: object, ctx: dict | None, result: object = None, error_output: object = None) -> None:
    """Evaluates a state's `Assign`. Every expression sees the variables as they were before it."""
    fields = state.get("Assign")
    if ctx is None or not isinstance(fields, dict) or sfn._state_query_language(state, ctx) != "JSONata":
        return
    values = sfn._apply_jsonata_template(fields, raw, ctx, result=result, error_output=error_output)
    ctx.setdefault("variables", {}).update(values)


def choose(original: Callable[..., tuple]) -> Callable[..., tuple]:
    """Wraps a Choice so that `Output` also applies when no rule matched and `Default` is taken."""

    def execute_choice(state: dict, raw: object, ctx: dict | None = None) -> tuple:
        if sfn._state_query_language(state, ctx) == "JSONata" and "Default" in state:
            otherwise = {key: state[key] for key in ("Output", "Assign") if key in state}
            otherwise |= {"Condition": "{% true %}", "Next": state["Default"]}
            state = {**state, "Choices": [*state.get("Choices", []), otherwise]}
        return original(state, raw, ctx)

    return execute_choice


def forget() -> None:
    """Stops all executions (the emulator's reset)."""
    with _ending:
        scopes = list(_scopes.values())
        _scopes.clear()
    for scope in scopes:
        scope.stop()


def apply() -> None:
    """Replaces MiniStack's functions with those above."""
    sfn._run_execution = run_execution
    sfn._run_sub_machine = walk
    sfn._add_event = add_event
    sfn._apply_state_assign = assign
    sfn._execute_choice = choose(sfn._execute_choice)
    sfn._fail_execution = lambda execution, error, cause: end(execution, "FAILED", error=error, cause=cause)
