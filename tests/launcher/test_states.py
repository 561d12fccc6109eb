"""Step Functions: branches, retries, deadlines, and the state machine itself."""

from __future__ import annotations

import json
import time

from conftest import ACCOUNT, Emulator, patch
from machines import ask, begin, branch, ended, error_of, function, machine, output, queue, run, token, unique


@patch("parallel-jsonata")
def test_parallel_takes_arguments_output_and_assign(emulator: Emulator) -> None:
    result = run(emulator, {
        "Both": {
            "Type": "Parallel",
            "Arguments": {"n": "{% $states.input.n + 1 %}"},
            "Branches": [
                branch({"A": {"Type": "Pass", "Output": "{% $states.input.n %}"}}),
                branch({"B": {"Type": "Pass", "Output": "{% $states.input.n * 2 %}"}}),
            ],
            "Output": {"results": "{% $states.result %}"},
            "Assign": {"total": "{% $sum($states.result) %}"},  # not `sum`, which is a JSONata function
            "Next": "After",
        },
        "After": {"Type": "Pass", "Output": {"total": "{% $total %}", "results": "{% $states.input.results %}"}},
    }, {"n": 1})
    assert output(result) == {"total": 6, "results": [2, 4]}


@patch("parallel-variables")
def test_parallel_branches_have_their_own_variables(emulator: Emulator) -> None:
    result = run(emulator, {
        "Set": {"Type": "Pass", "Assign": {"x": "outer"}, "Next": "Both"},
        "Both": {
            "Type": "Parallel",
            "Branches": [
                branch({"A": {"Type": "Pass", "Assign": {"y": "inner"}, "Next": "A2"},
                        "A2": {"Type": "Pass", "Output": "{% $y & $x %}"}}),
                branch({"B": {"Type": "Wait", "Seconds": 1, "Output": "{% $exists($y) %}"}}),
            ],
            "Next": "After",
        },
        "After": {"Type": "Pass", "Output": {"branches": "{% $states.input %}", "seen": "{% $exists($y) %}"}},
    })
    assert output(result) == {"branches": ["innerouter", False], "seen": False}


@patch("fail-at-once")
def test_parallel_fails_with_its_first_failure_and_stops_the_rest(emulator: Emulator) -> None:
    url = queue(emulator)
    start = time.monotonic()
    result = run(emulator, {
        "Both": {
            "Type": "Parallel",
            "Branches": [
                branch({"A": {"Type": "Fail", "Error": "Broken", "Cause": "on order"}}),
                branch({"B": {"Type": "Wait", "Seconds": 3, "Next": "B2"}, "B2": {
                    "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage",
                    "Arguments": {"QueueUrl": url, "MessageBody": "ran on"}}}),
            ],
            "Catch": [{"ErrorEquals": ["Broken"], "Next": "Caught", "Output": "{% $states.errorOutput %}"}],
        },
        "Caught": {"Type": "Pass"},
    })
    assert output(result) == {"Error": "Broken", "Cause": "on order"}
    assert time.monotonic() - start < 2.5
    assert not emulator.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=4).get("Messages")


@patch("fail-at-once")
def test_map_fails_with_its_first_failure(emulator: Emulator) -> None:
    start = time.monotonic()
    result = run(emulator, {
        "Each": {
            "Type": "Map",
            "Items": [0, 4, 4],
            "ItemProcessor": branch({
                "Sleep": {"Type": "Wait", "Seconds": "{% $states.input %}", "Next": "Which"},
                "Which": {"Type": "Choice", "Choices": [{"Condition": "{% $states.input = 0 %}", "Next": "Bad"}],
                          "Default": "Good"},
                "Bad": {"Type": "Fail", "Error": "Broken"},
                "Good": {"Type": "Succeed"},
            }),
        },
    })
    assert (result["status"], result.get("error")) == ("FAILED", "Broken")
    assert time.monotonic() - start < 3


@patch("parallel-tokens")
def test_a_retry_in_one_branch_leaves_the_token_of_the_other(emulator: Emulator) -> None:
    left, right = queue(emulator), queue(emulator)
    retry = [{"ErrorEquals": ["Again"], "IntervalSeconds": 1, "MaxAttempts": 2}]
    execution = begin(emulator, {"Both": {
        "Type": "Parallel",
        "Branches": [branch({"A": ask(left, Retry=retry)}), branch({"B": ask(right)})],
    }})
    client = emulator.client("stepfunctions")
    first, other = token(emulator, left), token(emulator, right)
    client.send_task_failure(taskToken=first, error="Again", cause="")
    second = token(emulator, left)
    assert second not in (first, other)
    client.send_task_success(taskToken=second, output='"left"')
    client.send_task_success(taskToken=other, output='"right"')
    assert output(ended(emulator, execution)) == ["left", "right"]


@patch("retry-delay")
def test_retries_wait_at_most_the_maximum_delay(emulator: Emulator) -> None:
    start = time.monotonic()
    result = run(emulator, {"Send": {
        "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage",
        "Arguments": {"QueueUrl": f"{emulator.url}/{ACCOUNT}/missing", "MessageBody": "lost"},
        "Retry": [{"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 1, "BackoffRate": 10, "MaxAttempts": 2,
                   "MaxDelaySeconds": 1, "JitterStrategy": "NONE"}],
    }})
    assert result["status"] == "FAILED"
    assert 2 <= time.monotonic() - start < 10  # 11 without MaxDelaySeconds


@patch("task-limits-jsonata")
def test_task_limits_may_be_expressions(emulator: Emulator) -> None:
    name = function(emulator)
    result = run(emulator, {"Call": {
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "TimeoutSeconds": "{% $states.input.limit %}",
        "Arguments": {"FunctionName": name, "Payload": {"sleep": 3}},
    }}, {"limit": 1})
    assert result.get("error") == "States.Timeout"


@patch("heartbeat")
def test_a_missed_heartbeat_fails_the_task(emulator: Emulator) -> None:
    url, timeout = queue(emulator), ["States.Timeout"]
    execution = begin(emulator, {
        "Ask": ask(url, HeartbeatSeconds=2, TimeoutSeconds=60,
                   Retry=[{"ErrorEquals": timeout, "IntervalSeconds": 1, "MaxAttempts": 1}],
                   Catch=[{"ErrorEquals": timeout, "Next": "Caught"}], Next="Caught"),
        "Caught": {"Type": "Pass"},
    })
    sent = token(emulator, url)
    beats = time.monotonic() + 3
    while time.monotonic() < beats:
        emulator.client("stepfunctions").send_task_heartbeat(taskToken=sent)
        time.sleep(0.5)
    token(emulator, url)  # of the retry, which receives no heartbeat
    assert output(ended(emulator, execution))["Error"] == "States.HeartbeatTimeout"


@patch("machine-timeout")
def test_a_machine_that_runs_too_long_is_timed_out(emulator: Emulator) -> None:
    url = queue(emulator)
    events, name = emulator.client("events"), unique("rule")
    arn = emulator.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.states"], "detail": {"status": ["TIMED_OUT"]}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": arn}])
    execution = begin(emulator, {"Sleep": {"Type": "Wait", "Seconds": 4}}, TimeoutSeconds=1)
    assert ended(emulator, execution)["status"] == "TIMED_OUT"
    received = emulator.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    assert json.loads(received[0]["Body"])["detail"]["executionArn"] == execution


@patch("succeed-output")
def test_succeed_and_the_default_of_a_choice_have_an_output(emulator: Emulator) -> None:
    result = run(emulator, {
        "Which": {"Type": "Choice", "Choices": [{"Condition": "{% false %}", "Next": "Done"}], "Default": "Done",
                  "Output": {"from": "choice"}},
        "Done": {"Type": "Succeed", "Output": {"from": "{% $states.input.from & ', succeed' %}"}},
    })
    assert output(result) == {"from": "choice, succeed"}


@patch("assign-at-once")
def test_assign_sees_the_variables_as_they_were(emulator: Emulator) -> None:
    result = run(emulator, {
        "One": {"Type": "Pass", "Assign": {"a": 1, "b": 1}, "Next": "Two"},
        "Two": {"Type": "Pass", "Assign": {"a": 2, "b": "{% $a %}"}, "Next": "Three"},
        "Three": {"Type": "Pass", "Output": ["{% $a %}", "{% $b %}"]},
    })
    assert output(result) == [2, 1]


@patch("data-limit")
def test_more_than_256_kib_of_state_fails(emulator: Emulator) -> None:
    result = run(emulator, {"Big": {
        "Type": "Pass", "Output": "{% $states.input.part & $states.input.part & $states.input.part %}"}},
        {"part": "0" * 100000})
    assert result.get("error") == "States.DataLimitExceeded"


@patch("terminal-errors")
def test_states_all_does_not_match_what_cannot_be_caught(emulator: Emulator) -> None:
    def catch(name: str, state: dict) -> dict:
        state = {**state, "Catch": [{"ErrorEquals": [name], "Next": "Caught"}], "Next": "Caught"}
        return run(emulator, {"Do": state, "Caught": {"Type": "Pass"}})

    unknown = {"Type": "Task", "Resource": "arn:aws:states:::nothing:here"}
    # Raised by a Fail state. The patch data-limit covers the real error.
    grown = {"Type": "Parallel", "Branches": [branch({"Big": {"Type": "Fail", "Error": "States.DataLimitExceeded"}})]}
    for state, error in ((unknown, "States.Runtime"), (grown, "States.DataLimitExceeded")):
        result = catch("States.ALL", state)
        assert (result["status"], result.get("error")) == ("FAILED", error)
    assert output(catch("States.DataLimitExceeded", grown))["Error"] == "States.DataLimitExceeded"


@patch("history")
def test_the_history_has_the_states_inside_a_map_and_a_parallel(emulator: Emulator) -> None:
    # The branches overlap, so the preceding event is not always the previously recorded one.
    execution = begin(emulator, {
        "Both": {"Type": "Parallel", "Next": "Each", "Branches": [
            branch({"Left": {"Type": "Wait", "Seconds": 1}}), branch({"Right": {"Type": "Wait", "Seconds": 1}})]},
        "Each": {"Type": "Map", "Items": [1, 2], "MaxConcurrency": 1,
                 "ItemProcessor": branch({"Inner": {"Type": "Pass"}})},
    })
    ended(emulator, execution)
    events = emulator.client("stepfunctions").get_execution_history(executionArn=execution)["events"]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert all("previousEventId" in event for event in events[1:])

    def label(event: dict) -> str:
        details = event.get("stateEnteredEventDetails") or event.get("stateExitedEventDetails") or {}
        return details.get("name", event["type"])

    labels = {event["id"]: label(event) for event in events}
    steps = [(labels.get(event.get("previousEventId"), ""), label(event)) for event in events]
    assert sorted(step for step in steps if step[1] in ("Left", "Right")) == [
        ("Left", "Left"), ("ParallelStateStarted", "Left"), ("ParallelStateStarted", "Right"), ("Right", "Right")]
    assert [step for step in steps if step[1] == "MapIterationStarted"] == 2 * [
        ("MapStateStarted", "MapIterationStarted")]
    assert sorted(step for step in steps if step[1] == "Inner") == [
        ("Inner", "Inner"), ("Inner", "Inner"), ("MapIterationStarted", "Inner"), ("MapIterationStarted", "Inner")]


@patch("start-idempotent")
def test_the_same_start_twice_is_one_execution(emulator: Emulator) -> None:
    client, arn = emulator.client("stepfunctions"), machine(emulator, {"Sleep": {"Type": "Wait", "Seconds": 2}})
    start = {"stateMachineArn": arn, "name": unique(), "input": '{"a": 1}'}
    first = client.start_execution(**start)["executionArn"]
    assert error_of(client.start_execution, **start) is None
    assert client.start_execution(**start)["executionArn"] == first
    assert error_of(client.start_execution, **{**start, "input": "{}"}) == "ExecutionAlreadyExists"
    ended(emulator, first)
    assert error_of(client.start_execution, **start) == "ExecutionAlreadyExists"


@patch("start-rules")
def test_a_start_has_a_proper_name_and_input(emulator: Emulator) -> None:
    client, arn = emulator.client("stepfunctions"), machine(emulator, {"Nothing": {"Type": "Pass"}})
    for name in ("a" * 80, "a-b_c.d"):
        client.start_execution(stateMachineArn=arn, name=name)
    for name in ("a b", "a/b", "a*"):
        assert error_of(client.start_execution, stateMachineArn=arn, name=name) == "InvalidName"
    assert error_of(client.start_execution, stateMachineArn=arn, input="no JSON") == "InvalidExecutionInput"
    big = json.dumps("x" * 262144)
    assert error_of(client.start_execution, stateMachineArn=arn, input=big) == "ValidationException"
