"""Step Functions: task tokens, and stopping an execution."""

from __future__ import annotations

import json

from conftest import Emulator, patch
from machines import ask, begin, branch, ended, error_of, function, output, queue, run, token


def answers(emulator: Emulator, sent: str) -> list[str | None]:
    """Returns the errors of the three calls with a token."""
    client = emulator.client("stepfunctions")
    return [
        error_of(client.send_task_heartbeat, taskToken=sent),
        error_of(client.send_task_success, taskToken=sent, output="{}"),
        error_of(client.send_task_failure, taskToken=sent, error="Late"),
    ]


@patch("callback-failure")
def test_a_function_that_fails_fails_the_task_that_waits_for_its_token(emulator: Emulator) -> None:
    name = function(emulator)
    result = run(emulator, {"Call": {
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Arguments": {"FunctionName": name, "Payload": {"fail": "Broken", "token": "{% $states.context.Task.Token %}"}},
    }})
    assert result["status"] == "FAILED"


def test_a_function_may_answer_its_token_before_it_returns(patched: Emulator) -> None:
    name = function(patched)
    result = run(patched, {"Call": {
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Arguments": {"FunctionName": name, "Payload": {
            "token": "{% $states.context.Task.Token %}", "answer": '{"done": true}'}},
    }})
    assert output(result) == {"done": True}


@patch("token-gone")
def test_a_token_that_was_answered_is_gone(emulator: Emulator) -> None:
    url = queue(emulator)
    execution = begin(emulator, {"Ask": ask(url)})
    sent = token(emulator, url)
    emulator.client("stepfunctions").send_task_success(taskToken=sent, output="1")
    ended(emulator, execution)
    assert answers(emulator, sent) == ["TaskTimedOut"] * 3


@patch("token-unknown")
def test_a_token_that_was_not_issued_is_invalid(emulator: Emulator) -> None:
    assert answers(emulator, "made-up") == ["InvalidToken"] * 3


@patch("token-per-attempt")
def test_every_attempt_has_its_own_token(emulator: Emulator) -> None:
    url = queue(emulator)
    retry = [{"ErrorEquals": ["Again"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    execution = begin(emulator, {"Ask": ask(url, Retry=retry)})
    client = emulator.client("stepfunctions")
    first = token(emulator, url)
    client.send_task_failure(taskToken=first, error="Again")
    second = token(emulator, url)
    assert second != first
    assert answers(emulator, first) == ["TaskTimedOut"] * 3
    client.send_task_success(taskToken=second, output="2")
    assert output(ended(emulator, execution)) == 2


@patch("callback-output")
def test_the_output_of_a_callback_is_checked(emulator: Emulator) -> None:
    url, client = queue(emulator), emulator.client("stepfunctions")
    execution = begin(emulator, {"Ask": ask(url)})
    sent = token(emulator, url)
    assert error_of(client.send_task_success, taskToken=sent, output="no JSON") == "InvalidOutput"
    big = json.dumps("x" * 262144)
    assert error_of(client.send_task_success, taskToken=sent, output=big) == "ValidationException"
    client.send_task_success(taskToken=sent, output="3")
    assert output(ended(emulator, execution)) == 3


@patch("stop-is-final")
def test_a_stopped_execution_stays_aborted_and_its_token_is_gone(emulator: Emulator) -> None:
    url, client = queue(emulator), emulator.client("stepfunctions")
    execution = begin(emulator, {"Ask": ask(url)})
    sent = token(emulator, url)
    client.stop_execution(executionArn=execution, error="Operator", cause="on order")
    assert answers(emulator, sent) == ["TaskTimedOut"] * 3
    found = client.describe_execution(executionArn=execution)
    assert (found["status"], found["error"], found["cause"]) == ("ABORTED", "Operator", "on order")


@patch("stop-branches")
def test_a_stopped_execution_runs_no_state_more(emulator: Emulator) -> None:
    url, client = queue(emulator), emulator.client("stepfunctions")
    send = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage",
            "Arguments": {"QueueUrl": url, "MessageBody": "ran on"}}
    execution = begin(emulator, {"Both": {"Type": "Parallel", "Branches": [
        branch({"Sleep": {"Type": "Wait", "Seconds": 2, "Next": "Send"}, "Send": send})]}})

    def entered() -> bool:
        events = client.get_execution_history(executionArn=execution)["events"]
        return any(event["type"] == "ParallelStateEntered" for event in events)

    emulator.wait(entered, "the state to be entered")
    client.stop_execution(executionArn=execution)
    assert not emulator.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=4).get("Messages")


def test_a_token_inside_a_map_belongs_to_its_item(patched: Emulator) -> None:
    url, client = queue(patched), patched.client("stepfunctions")
    state = ask(url)
    state["Arguments"]["MessageBody"]["item"] = "{% $states.input %}"
    execution = begin(patched, {"Each": {"Type": "Map", "Items": [0, 1, 2], "ItemProcessor": branch({"Ask": state})}})
    bodies: list[dict] = []

    def receive() -> bool:
        found = patched.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        bodies.extend(json.loads(message["Body"]) for message in found.get("Messages", []))
        return len(bodies) >= 3

    patched.wait(receive, "three tokens")
    for body in bodies:
        client.send_task_success(taskToken=body["token"], output=json.dumps(body["item"] * 10))
    assert output(ended(patched, execution)) == [0, 10, 20]
