"""One task state: arguments, the call, deadlines, token, result."""

from __future__ import annotations

import json
from collections.abc import Callable

from ministack.services import stepfunctions as sfn

from sluicegate_emulator import faults, jobs
from sluicegate_emulator.states.attempt import TOKENS, Attempt, Error, check_size
from sluicegate_emulator.states.retry import with_retry_and_catch
from sluicegate_emulator.states.scope import current, spawn

CALLBACK = ".waitForTaskToken"


def execute_task(state: dict, raw: object, execution: dict, ctx: dict) -> tuple:
    """Runs a Task state. Returns (output, name of the next state)."""
    return with_retry_and_catch(state, raw, ctx, lambda: _attempt(state, raw, execution, ctx))


def _attempt(state: dict, raw: object, execution: dict, ctx: dict) -> tuple:
    jsonata = sfn._state_query_language(state, ctx) == "JSONata"
    resource = state.get("Resource", "")
    attempt, scope = Attempt(), current()
    # Before anyone has the token: an answer to a stopped attempt must not count.
    scope.listen(attempt.stop)
    token = None
    if resource.endswith(CALLBACK):
        token = TOKENS.issue(attempt)
        ctx["Task"] = {"Token": token}
    try:
        if jsonata:
            arguments = sfn._apply_jsonata_arguments(state, raw, ctx)
        else:
            arguments = sfn._apply_parameters(state, sfn._apply_input_path(state, raw, ctx), ctx)
        timeout = _seconds(state, "TimeoutSeconds", raw, ctx, jsonata)
        heartbeat = _seconds(state, "HeartbeatSeconds", raw, ctx, jsonata)
        if ":activity:" in resource:
            timeout = heartbeat = None  # MiniStack counts both from when a worker takes the task
        kind, action = _describe(resource)
        _event(execution, "TaskScheduled", kind, action, parameters=json.dumps(arguments), region=sfn.get_region())
        try:
            fault = faults.take(ctx["State"]["Name"])
            if fault is not None and not fault.after:
                raise Error(fault.error, fault.cause)
            _start(attempt, resource, arguments, token)
            result = attempt.wait(timeout, heartbeat, scope)
            if fault is not None:
                raise Error(fault.error, fault.cause)
            check_size(result, f"state/task '{resource}'")
        except Error as err:
            timed_out = err.error in ("States.Timeout", "States.HeartbeatTimeout")
            _event(
                execution,
                "TaskTimedOut" if timed_out else "TaskFailed",
                kind,
                action,
                error=err.error,
                cause=err.cause,
            )
            raise
        _event(execution, "TaskSucceeded", kind, action, output=json.dumps(result))
    finally:
        scope.forget(attempt.stop)
        if token is not None:
            TOKENS.retire(token)

    if jsonata:
        output = sfn._apply_jsonata_output(state, raw, ctx, result=result, default=result)
        sfn._apply_state_assign(state, raw, ctx, result=result)
    else:
        output = sfn._apply_result_path(state, raw, sfn._apply_result_selector(state, result))
        output = sfn._apply_output_path(state, output, ctx)
    return output, sfn._next_or_end(state)


def _start(attempt: Attempt, resource: str, arguments: object, token: str | None) -> None:
    """Makes the call in a separate thread. With a token, only a failure counts and the reply is ignored."""

    def call() -> None:
        try:
            if jobs.handles(resource):
                value = jobs.run(resource, arguments, attempt.cancelled)
            else:
                value = sfn._invoke_resource(resource.removesuffix(CALLBACK), arguments)
        except Error as err:
            attempt.fail(err)
        except Exception as err:  # noqa: BLE001: a defect of an integration fails the task, not the thread
            sfn.logger.exception("the integration %s failed in itself", resource)
            attempt.fail(Error("States.Runtime", str(err)))
        else:
            if token is None:
                attempt.succeed(value)

    spawn(call, name="states-task")


def _seconds(state: dict, field: str, raw: object, ctx: dict, jsonata: bool) -> float | None:
    if field in state:
        value = sfn._jsonata_state_field(state, field, "number", raw, ctx) if jsonata else state[field]
    elif f"{field}Path" in state:
        value = sfn._resolve_path_or_ctx(state[f"{field}Path"], raw, ctx)
    else:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise Error("States.Runtime", f"{field} must be a positive integer, not {json.dumps(value)}")
    return value


def _describe(resource: str) -> tuple[str, str]:
    """Returns the resource type and resource of a history event."""
    parts = resource.split(":")
    if resource.startswith("arn:aws:states:::"):
        return ":".join(parts[5:-1]), parts[-1]
    return ("activity", resource) if ":activity:" in resource else ("lambda", resource)


def _event(execution: dict, kind: str, service: str, action: str, **details: object) -> None:
    name = kind[0].lower() + kind[1:] + "EventDetails"
    sfn._add_event(execution, kind, {name: {"resourceType": service, "resource": action, **details}})


def _named_service_errors(call: Callable) -> Callable:
    """Gives errors of the Lambda service their own name. MiniStack reports a throttled call as `Lambda.Unknown`."""

    def call_lambda(function: str, event: object) -> object:
        try:
            return call(function, event)
        except Error as err:
            if err.error != "Lambda.Unknown":
                raise
            try:
                body = json.loads(err.cause)
            except (TypeError, ValueError):
                raise err from None
            if not isinstance(body, dict) or "__type" not in body:
                raise
            raise Error(f"Lambda.{body['__type']}", body.get("message") or err.cause) from None

    return call_lambda


def apply() -> None:
    """Puts the functions above in place of MiniStack's."""
    sfn._execute_task = execute_task
    sfn._call_lambda = _named_service_errors(sfn._call_lambda)
