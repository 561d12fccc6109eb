"""Lambda and EventBridge."""

from __future__ import annotations

import json
import sys
import time

from conftest import ACCOUNT, REGION, Emulator, patch
from machines import ROLE, function, machine, output, queue, run, unique

RUNTIME = f"#!{sys.executable}" + """
import json, os, urllib.request

api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(api + "next") as reply:
        event, request = json.loads(reply.read()), reply.headers["Lambda-Runtime-Aws-Request-Id"]
    path, body, headers = "response", {"echo": event}, {}
    if "fail" in event:
        path, headers = "error", {"Lambda-Runtime-Function-Error-Type": event["fail"]}
        body = {"errorType": event["fail"], "errorMessage": "failed on order", "stackTrace": []}
    urllib.request.urlopen(urllib.request.Request(
        api + request + "/" + path, data=json.dumps(body).encode(), headers=headers, method="POST")).read()
"""


def invoke(name: str, payload: dict, **fields: object) -> dict:
    """Returns a task state that invokes a function."""
    return {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": {"FunctionName": name, "Payload": payload}, "Output": "{% $states.result.Payload %}", **fields}


def test_the_error_type_of_a_custom_runtime_reaches_catch(patched: Emulator) -> None:
    name = function(patched, bootstrap=RUNTIME)
    result = run(patched, {
        "Call": invoke(name, {"fail": "LockLost"}, Catch=[{"ErrorEquals": ["LockLost"], "Next": "Caught"}]),
        "Caught": {"Type": "Pass"},
    })
    caught = output(result)
    assert caught["Error"] == "LockLost"
    assert json.loads(caught["Cause"])["errorMessage"] == "failed on order"


@patch("lambda-throttle")
def test_a_throttled_function_has_the_name_of_its_error(emulator: Emulator) -> None:
    name = function(emulator, bootstrap=RUNTIME)
    emulator.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert run(emulator, {"Call": invoke(name, {})})["error"] == "Lambda.TooManyRequestsException"


def test_a_function_that_runs_too_long_is_a_failed_task(patched: Emulator) -> None:
    name = function(patched, Timeout=1)
    result = run(patched, {
        "Call": invoke(name, {"sleep": 5}, Catch=[{"ErrorEquals": ["States.TaskFailed"], "Next": "Caught"}]),
        "Caught": {"Type": "Pass"},
    })
    assert output(result)["Error"] == "Sandbox.Timedout"


@patch("lambda-latency")
def test_a_warm_call_takes_milliseconds(emulator: Emulator) -> None:
    name, client = function(emulator, bootstrap=RUNTIME), emulator.client("lambda")
    times = []
    for _ in range(30):
        start = time.monotonic()
        client.invoke(FunctionName=name, Payload=b"{}")["Payload"].read()
        times.append(time.monotonic() - start)
    assert min(times) < 0.05  # the fastest call, because a busy machine delays calls


def messages(emulator: Emulator, url: str, seconds: int) -> list[dict]:
    """Returns the messages that arrive within some seconds, and waits for at least one."""
    return emulator.client("sqs").receive_message(
        QueueUrl=url, WaitTimeSeconds=seconds, MessageAttributeNames=["All"]).get("Messages", [])


def arn_of(emulator: Emulator, url: str) -> str:
    """Returns a queue's ARN."""
    found = emulator.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return found["Attributes"]["QueueArn"]


@patch("aws-events")
def test_fakes_send_events_as_aws_services(emulator: Emulator) -> None:
    events, url, job = emulator.client("events"), queue(emulator), unique()
    rule = unique("rule")
    events.put_rule(Name=rule, EventPattern=json.dumps({"source": ["aws.batch"], "detail": {"jobId": [job]}}))
    events.put_targets(Rule=rule, Targets=[{"Id": "q", "Arn": arn_of(emulator, url)}])
    entry = {"Source": "aws.batch", "DetailType": "Batch Job State Change", "Detail": json.dumps({"jobId": job})}
    events.put_events(Entries=[entry])
    [message] = messages(emulator, url, 5) or [None]
    assert message, "no event"
    assert json.loads(message["Body"])["detail"] == {"jobId": job}


@patch("target-dlq")
def test_an_event_that_cannot_be_delivered_goes_to_the_dead_letter_queue(emulator: Emulator) -> None:
    events = emulator.client("events")
    gone = {
        "machine": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:gone",
        "function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:gone",
    }
    for kind, target in gone.items():
        rule, url, source = unique("rule"), queue(emulator), unique("source")
        events.put_rule(Name=rule, EventPattern=json.dumps({"source": [source]}))
        events.put_targets(Rule=rule, Targets=[{
            "Id": "t", "Arn": target, "RoleArn": ROLE, "DeadLetterConfig": {"Arn": arn_of(emulator, url)}}])
        events.put_events(Entries=[{"Source": source, "DetailType": "push", "Detail": '{"a": 1}'}])
        [message] = messages(emulator, url, 3) or [None]
        assert message, f"nothing in the queue of the missing {kind}"
        assert json.loads(message["Body"])["detail"] == {"a": 1}
        assert message["MessageAttributes"]["TARGET_ARN"]["StringValue"] == target


def rule_calls(emulator: Emulator, name: str, detail: dict) -> None:
    """Sends an event to a rule whose target is a function."""
    events, rule, source = emulator.client("events"), unique("rule"), unique("source")
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    events.put_rule(Name=rule, EventPattern=json.dumps({"source": [source]}))
    events.put_targets(Rule=rule, Targets=[{"Id": "t", "Arn": arn, "InputPath": "$.detail"}])
    events.put_events(Entries=[{"Source": source, "DetailType": "push", "Detail": json.dumps(detail)}])


@patch("async-calls")
def test_a_rule_repeats_a_call_that_fails(emulator: Emulator) -> None:
    url = queue(emulator)
    name = function(emulator, bootstrap=RUNTIME, DeadLetterConfig={"TargetArn": arn_of(emulator, url)})
    emulator.client("lambda").put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1)
    rule_calls(emulator, name, {"fail": "LockLost"})
    [message] = messages(emulator, url, 10) or [None]
    assert message, "nothing in the function's dead-letter queue"
    assert json.loads(message["Body"]) == {"fail": "LockLost"}
    assert message["MessageAttributes"]["ErrorMessage"]["StringValue"] == "failed on order"


@patch("async-calls")
def test_a_rule_waits_for_a_function_that_is_throttled(emulator: Emulator) -> None:
    url, client = queue(emulator), emulator.client("lambda")
    name = function(emulator, bootstrap=RUNTIME, DeadLetterConfig={"TargetArn": arn_of(emulator, url)})
    client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    rule_calls(emulator, name, {"fail": "LockLost"})
    assert messages(emulator, url, 2) == [], "a throttled call is not a failed one"
    client.delete_function_concurrency(FunctionName=name)
    assert messages(emulator, url, 10), "the function was not called when it had a free slot"


def test_a_rule_starts_a_state_machine(patched: Emulator) -> None:
    events, url, source = patched.client("events"), queue(patched), unique("source")
    arn = machine(patched, {"Send": {
        "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage",
        "Arguments": {"QueueUrl": url, "MessageBody": "{% $states.input %}"}}})
    rule = unique("rule")
    events.put_rule(Name=rule, EventPattern=json.dumps({"source": [source]}))
    events.put_targets(Rule=rule, Targets=[{"Id": "t", "Arn": arn, "RoleArn": ROLE, "InputPath": "$.detail"}])
    events.put_events(Entries=[{"Source": source, "DetailType": "push", "Detail": '{"a": 1}'}])
    [message] = messages(patched, url, 10)
    assert json.loads(message["Body"]) == {"a": 1}
