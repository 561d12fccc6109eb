"""State machines and functions for the tests."""

from __future__ import annotations

import io
import json
import os
import sys
import textwrap
import uuid
import zipfile
from collections.abc import Callable

from botocore.exceptions import ClientError
from conftest import ACCOUNT, REGION, Emulator

ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"

FUNCTION = textwrap.dedent("""
    import os, time
    import boto3

    def handler(event, context):
        time.sleep(event.get("sleep", 0))
        if "fail" in event:
            raise type(event["fail"], (Exception,), {})("failed on order")
        if "token" in event and "answer" in event:
            states = boto3.client("stepfunctions", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
            states.send_task_success(taskToken=event["token"], output=event["answer"])
        return event
""")


def unique(prefix: str = "t") -> str:
    """Returns a unique name."""
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def archive(files: dict[str, str]) -> bytes:
    """Returns a zip archive of executable files."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as target:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o755 << 16
            target.writestr(entry, text)
    return data.getvalue()


def function(emulator: Emulator, code: str = FUNCTION, *, bootstrap: str | None = None, **settings: object) -> str:
    """Creates a function and returns its name. With `bootstrap` it has a custom runtime, otherwise Python."""
    name = unique("fn")
    client = emulator.client("lambda")
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "AWS_DEFAULT_REGION": REGION}
    client.create_function(
        FunctionName=name,
        Runtime="provided.al2023" if bootstrap else "python3.11",
        Handler="main.handler",
        Role=ROLE,
        Code={"ZipFile": archive({"bootstrap": bootstrap} if bootstrap else {"main.py": code})},
        Environment={"Variables": environment},
        **{"Timeout": 20, **settings},
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return name


def error_of(call: Callable, **arguments: object) -> str | None:
    """Returns the error code of a call that should be refused, or None if it is accepted."""
    try:
        call(**arguments)
    except ClientError as refused:
        return refused.response["Error"]["Code"]
    return None


def branch(states: dict) -> dict:
    """Returns states that start with the first: a branch, or the processor of a Map. A state without Next ends."""
    for state in states.values():
        if state["Type"] not in ("Choice", "Succeed", "Fail") and "Next" not in state:
            state["End"] = True
    return {"StartAt": next(iter(states)), "States": states}


def machine(emulator: Emulator, states: dict, **fields: object) -> str:
    """Creates a JSONata state machine and returns its ARN."""
    definition = {"QueryLanguage": "JSONata", **branch(states), **fields}
    reply = emulator.client("stepfunctions").create_state_machine(
        name=unique("m"), roleArn=ROLE, definition=json.dumps(definition)
    )
    return reply["stateMachineArn"]


def begin(emulator: Emulator, states: dict, data: object = None, **fields: object) -> str:
    """Creates a state machine and starts it. Returns the execution's ARN."""
    arn = machine(emulator, states, **fields)
    reply = emulator.client("stepfunctions").start_execution(stateMachineArn=arn, input=json.dumps(data or {}))
    return reply["executionArn"]


def ended(emulator: Emulator, execution: str, seconds: float | None = None) -> dict:
    """Waits for an execution's end and returns its description."""
    client = emulator.client("stepfunctions")

    def done() -> dict | None:
        found = client.describe_execution(executionArn=execution)
        return found if found["status"] != "RUNNING" else None

    return emulator.wait(done, f"the end of {execution}", seconds)


def run(emulator: Emulator, states: dict, data: object = None, **fields: object) -> dict:
    """Runs a state machine to its end and returns the execution's description."""
    return ended(emulator, begin(emulator, states, data, **fields))


def output(description: dict) -> object:
    """Returns the output of an execution, which must have succeeded."""
    assert description["status"] == "SUCCEEDED", f"{description.get('error')}: {description.get('cause')}"
    return json.loads(description["output"])


def queue(emulator: Emulator) -> str:
    """Creates a queue and returns its URL."""
    return emulator.client("sqs").create_queue(QueueName=unique("q"))["QueueUrl"]


def ask(url: str, **fields: object) -> dict:
    """Returns a task state that sends its token to a queue and waits for a callback."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Arguments": {"QueueUrl": url, "MessageBody": {"token": "{% $states.context.Task.Token %}"}},
        **fields,
    }


def token(emulator: Emulator, url: str) -> str:
    """Returns the next token sent to a queue."""

    def receive() -> str | None:
        found = emulator.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", [])
        for message in found:
            emulator.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return json.loads(found[0]["Body"])["token"] if found else None

    return emulator.wait(receive, "a token")
