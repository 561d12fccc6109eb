"""Runs `batch:submitJob` and `codebuild:startBuild` of Step Functions on the fakes.

The fakes are at `AWS_ENDPOINT_URL_BATCH` and `AWS_ENDPOINT_URL_CODEBUILD`. Field names follow the AWS service models: Step
Functions uses PascalCase and the services camelCase. Keys of maps stay unchanged.
"""

from __future__ import annotations

import datetime
import functools
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ministack.core.responses import get_account_id, get_region
from ministack.services import batch, codebuild
from ministack.services import stepfunctions as sfn

POLL_SECONDS = 0.15
SILENCE_SECONDS = 60
"""The time that a fake may fail to return a running job's status before the task fails."""

Error = sfn._ExecutionError


@dataclass(frozen=True)
class Service:
    """One fake and its one integration that starts something."""

    name: str
    prefix: str
    variable: str
    start: str
    started: Callable[[dict], str]
    describe: str
    id_field: str
    found: str
    stop: Callable[[str], tuple[str, dict]]
    status: str
    finished: Callable[[str], bool]
    result: Callable[[dict], dict]
    """Converts the job's PascalCase detail to the result of the integration."""

    @property
    def endpoint(self) -> str | None:
        """The fake's address, or None."""
        return os.environ.get(self.variable)


BATCH = Service(
    name="batch",
    prefix="Batch",
    variable="AWS_ENDPOINT_URL_BATCH",
    start="submitJob",
    started=lambda reply: reply["jobId"],
    describe="DescribeJobs",
    id_field="jobs",
    found="jobs",
    stop=lambda id_: ("TerminateJob", {"jobId": id_, "reason": "The Step Functions task was stopped"}),
    status="status",
    finished=lambda status: status in ("SUCCEEDED", "FAILED"),
    result=lambda job: job,
)
CODEBUILD = Service(
    name="codebuild",
    prefix="CodeBuild",
    variable="AWS_ENDPOINT_URL_CODEBUILD",
    start="startBuild",
    started=lambda reply: reply["build"]["id"],
    describe="BatchGetBuilds",
    id_field="ids",
    found="builds",
    stop=lambda id_: ("StopBuild", {"id": id_}),
    status="buildStatus",
    finished=lambda status: status != "IN_PROGRESS",
    result=lambda build: {"Build": build},
)
SERVICES = (BATCH, CODEBUILD)


def _parse(resource: str) -> tuple[Service, str, bool] | None:
    """Returns the service, its operation in camelCase, and whether to wait for its end. None for other resources."""
    for service in SERVICES:
        for prefix in (f"arn:aws:states:::{service.name}:", f"arn:aws:states:::aws-sdk:{service.name}:"):
            if resource.startswith(prefix):
                operation = resource.removeprefix(prefix).removesuffix(".waitForTaskToken")
                sync = operation.endswith(".sync")
                operation = operation.removesuffix(".sync")
                if "aws-sdk" in prefix or operation == service.start:
                    return service, operation, sync
    return None


def handles(resource: str) -> bool:
    """Returns whether a task's resource belongs to a configured fake."""
    parsed = _parse(resource)
    return parsed is not None and parsed[0].endpoint is not None


def run(resource: str, arguments: object, cancelled: threading.Event) -> dict:
    """Makes the call. With `.sync`, waits for the end of what it started.

    Raises `States.TaskFailed` with the job as its cause, or `Batch.<Code>` / `CodeBuild.<Code>` for a refused call.
    Stops the job when `cancelled` is set.
    """
    service, operation, sync = _parse(resource)
    reply = call(service, operation[0].upper() + operation[1:], arguments or {})
    if not sync:
        return _pascal(reply, _model(service.name).operation_model(operation[0].upper() + operation[1:]).output_shape)
    id_ = service.started(reply)
    job = _follow(service, id_, cancelled)
    if job is None:
        name, stop = service.stop(id_)
        _request(service, name, stop)
        raise Error("States.TaskFailed", "The task was stopped")
    shape = _model(service.name).operation_model(service.describe).output_shape.members[service.found].member
    result = service.result(_pascal(job, shape))
    if job[service.status] != "SUCCEEDED":
        raise Error("States.TaskFailed", json.dumps(result))
    return result


def _follow(service: Service, id_: str, cancelled: threading.Event) -> dict | None:
    """Returns the ended job, or None when the task was cancelled first."""
    answered = time.monotonic()
    while not cancelled.wait(POLL_SECONDS):
        try:
            found = _request(service, service.describe, {service.id_field: [id_]})[service.found]
        except Error as err:
            if time.monotonic() - answered > SILENCE_SECONDS:
                raise Error(err.error, f"{id_}: no status for {SILENCE_SECONDS} s: {err.cause}") from err
            continue
        answered = time.monotonic()
        if not found:
            raise Error("States.TaskFailed", f"{service.prefix} no longer knows {id_}")
        if service.finished(found[0][service.status]):
            return found[0]
    return None


def call(service: Service, operation: str, arguments: dict) -> dict:
    """Makes one API call with Step Functions' PascalCase arguments. Returns the service's own response."""
    model = _model(service.name)
    if operation not in model.operation_names:
        raise Error("States.Runtime", f"{service.prefix} has no operation {operation}")
    shape = model.operation_model(operation).input_shape
    return _request(service, operation, _camel(arguments, shape, "$.Arguments"))


def _request(service: Service, operation: str, parameters: dict) -> dict:
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

    try:
        reply = _client(service, get_account_id(), get_region())._make_api_call(operation, parameters)
    except ClientError as err:
        raise Error(f"{service.prefix}.{err.response['Error']['Code']}", str(err)) from err
    except ParamValidationError as err:
        raise Error("States.Runtime", str(err)) from err
    except BotoCoreError as err:
        raise Error(f"{service.prefix}.SdkClientException", str(err)) from err
    reply.pop("ResponseMetadata", None)
    return reply


@functools.cache
def _session():  # noqa: ANN202: botocore is imported lazily, because its import takes a third of a second
    import botocore.session

    return botocore.session.get_session()


_making = threading.Lock()
_clients: dict = {}


def _client(service: Service, account: str, region: str):  # noqa: ANN202
    from botocore.config import Config

    key = (service.name, account, region)
    with _making:
        if key not in _clients:
            _clients[key] = _session().create_client(
                service.name,
                endpoint_url=service.endpoint,
                region_name=region,
                aws_access_key_id=account,
                aws_secret_access_key="emulator",
                config=Config(
                    retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60, max_pool_connections=64
                ),
            )
        return _clients[key]


def _model(name: str):  # noqa: ANN202
    with _making:
        return _models(name)


@functools.cache
def _models(name: str):  # noqa: ANN202
    return _session().get_service_model(name)


def _camel(value: object, shape, where: str) -> object:  # noqa: ANN001
    """Renames argument fields to the service's names. Raises `States.Runtime` for a field that the service does not have."""
    if shape.type_name == "structure" and isinstance(value, dict):
        names = {name[0].upper() + name[1:]: name for name in shape.members}
        for key in value:
            if key not in names:
                known = ", ".join(sorted(names))
                raise Error("States.Runtime", f"The field '{key}' at {where} is not one of the service's: {known}")
        return {names[k]: _camel(v, shape.members[names[k]], f"{where}.{k}") for k, v in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_camel(item, shape.member, f"{where}[{i}]") for i, item in enumerate(value)]
    return value


def _pascal(value: object, shape) -> object:  # noqa: ANN001
    """Converts a response to Step Functions' form: PascalCase fields, times in milliseconds."""
    if shape.type_name == "structure" and isinstance(value, dict):
        return {k[0].upper() + k[1:]: _pascal(v, shape.members[k]) for k, v in value.items() if k in shape.members}
    if shape.type_name == "list" and isinstance(value, list):
        return [_pascal(item, shape.member) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {k: _pascal(v, shape.value) for k, v in value.items()}
    if isinstance(value, datetime.datetime):
        return int(value.timestamp() * 1000)
    return value


def _forward(service: Service) -> Callable:
    """Serves the service on MiniStack's own port, for clients that do not know the fake's address."""
    import asyncio
    import urllib.error
    import urllib.request

    def post(method: str, path: str, headers: dict, body: bytes) -> tuple[int, dict, bytes]:
        kept = {k: v for k, v in headers.items() if k.lower() in ("content-type", "x-amz-target", "authorization")}
        request = urllib.request.Request(service.endpoint + path, data=body or None, headers=kept, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status, dict(reply.headers), reply.read()
        except urllib.error.HTTPError as err:
            return err.code, dict(err.headers), err.read()
        except OSError as err:
            message = f"the fake of {service.prefix} at {service.endpoint} does not answer: {err}"
            return 503, {"Content-Type": "application/json"}, json.dumps({"message": message}).encode()

    async def handle_request(method: str, path: str, headers: dict, body: bytes, _query: dict) -> tuple:
        status, reply, content = await asyncio.to_thread(post, method, path, headers, body)
        hop = {"content-length", "transfer-encoding", "connection", "date", "server"}
        return status, {k: v for k, v in reply.items() if k.lower() not in hop}, content

    return handle_request


def apply() -> None:
    """Routes the two services to the configured fakes."""
    for service, module in ((BATCH, batch), (CODEBUILD, codebuild)):
        if service.endpoint:
            module.handle_request = _forward(service)
