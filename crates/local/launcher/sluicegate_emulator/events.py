"""EventBridge: events from the fakes as AWS services, asynchronous calls, and dead-letter queues of rule targets."""

from __future__ import annotations

import contextvars
import json
import threading
import time
from collections.abc import Callable

from ministack.core.arn import parse_arn
from ministack.core.responses import get_account_id, get_region
from ministack.services import eventbridge, lambda_svc

# AWS waits a minute before the first retry.
RETRY_SECONDS = 1

_failure: contextvars.ContextVar[tuple[str, str] | None] = contextvars.ContextVar("failure", default=None)


def put_events(original: Callable) -> Callable:
    """Wraps PutEvents to accept `aws.*` sources, because the fakes are the AWS services here."""

    def put(data: dict, allow_aws_source: bool = True) -> tuple:
        return original(data, allow_aws_source=True)

    return put


def start_execution(arn: str, payload: str) -> None:
    """Starts a target's state machine, and records the reason when it refuses."""
    from ministack.services import stepfunctions

    status, _, body = stepfunctions._start_execution({"stateMachineArn": arn, "input": payload})
    if status >= 400:
        error = json.loads(body)
        _failure.set((error.get("__type", "UNKNOWN"), error.get("message", "")))


def call_function(arn: str, payload: str) -> None:
    """Calls a target's function asynchronously, and records the reason when it does not exist."""
    function, _, name = lambda_svc._get_func_record_for_ref(arn)
    if not function:
        _failure.set(("ResourceNotFoundException", f"Function not found: {name}"))
        return
    context = contextvars.copy_context()
    call = (_call_until_it_succeeds, arn, json.loads(payload))
    threading.Thread(target=context.run, args=call, daemon=True).start()


def _call_until_it_succeeds(arn: str, event: dict) -> None:
    """Repeats a call that fails as the event invoke config says, and a throttled one until the event is too old."""
    base, _, _ = lambda_svc._get_base_func_record_for_ref(arn)
    _, qualifier = lambda_svc._lambda_function_name_and_qualifier_from_arn(arn)
    settings = lambda_svc._event_invoke_config(base, qualifier) or {}
    retries = settings.get("MaximumRetryAttempts", 2)
    deadline = time.monotonic() + settings.get("MaximumEventAgeInSeconds", 21600)
    while True:
        function, config, _ = lambda_svc._get_func_record_for_ref(arn)
        if not function:
            return  # deleted meanwhile
        record = lambda_svc._execution_record_for_config(function, config)
        result = lambda_svc._execute_function_with_config_scope(record, event)
        if not result.get("error"):
            return
        if not result.get("throttle"):
            retries -= 1
        if retries < 0 or time.monotonic() + RETRY_SECONDS > deadline:
            break
        time.sleep(RETRY_SECONDS)
    queue = (record["config"].get("DeadLetterConfig") or {}).get("TargetArn")
    if queue:
        body = result.get("body")
        message = body.get("errorMessage") or body.get("message") if isinstance(body, dict) else None
        _dead_letter(queue, json.dumps(event), {"ErrorCode": "200", "ErrorMessage": message or ""})


def invoke_target(original: Callable) -> Callable:
    """Delivers to a rule's target. An event that cannot be delivered goes to the target's dead-letter queue.

    EventBridge does not retry the errors that can occur here (the target does not exist, or refuses the input), so the
    retry policy has no effect.
    """

    def invoke(target: dict, event: dict, rule: dict, view: object = None) -> None:
        before = _failure.set(None)
        try:
            original(target, event, rule, view)
            failure = _failure.get()
        finally:
            _failure.reset(before)
        queue = (target.get("DeadLetterConfig") or {}).get("Arn")
        if failure is None or not queue:
            return
        view = view or eventbridge._pattern_event_view(event)
        _dead_letter(queue, json.dumps(view.event_with_detail()), {
            "RULE_ARN": rule.get("Arn", ""),
            "TARGET_ARN": target.get("Arn", ""),
            "ERROR_CODE": failure[0],
            "ERROR_MESSAGE": failure[1],
        })

    return invoke


def _dead_letter(arn: str, body: str, attributes: dict[str, str]) -> None:
    from ministack.services import sqs

    spec = parse_arn(arn)
    for url in list(sqs._queues):
        if url.rstrip("/").rsplit("/", 1)[-1] == spec.resource:
            values = {k: {"DataType": "String", "StringValue": v} for k, v in attributes.items() if v}
            sqs._act_send_message({"QueueUrl": url, "MessageBody": body, "MessageAttributes": values}, url)
            return
    eventbridge.logger.warning(
        "dead-letter queue %s not found in %s/%s: event lost", arn, get_account_id(), get_region()
    )


def apply() -> None:
    """Replaces MiniStack's functions with those above."""
    eventbridge._put_events = put_events(eventbridge._put_events)
    eventbridge._dispatch_to_stepfunctions = start_execution
    eventbridge._dispatch_to_lambda = call_function
    eventbridge._invoke_target = invoke_target(eventbridge._invoke_target)
