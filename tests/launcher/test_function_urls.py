"""Function URLs with IAM authentication."""

from __future__ import annotations

import http.client
import json
from datetime import datetime, timedelta, timezone
from unittest import mock
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from conftest import ACCOUNT, REGION, Emulator, patch
from machines import function, unique

ECHO = """
import json

def handler(event, context):
    return {"statusCode": 200, "body": json.dumps(event["requestContext"])}
"""
TRUST = {"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}]}


def address(emulator: Emulator) -> str:
    """Creates a function behind a URL with IAM authentication, and returns the URL with the emulator's port."""
    client, name = emulator.client("lambda"), function(emulator, ECHO)
    url = client.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")["FunctionUrl"]
    return f"http://{urlsplit(url).hostname}:{emulator.port}/"


def user(emulator: Emulator) -> tuple[str, Credentials]:
    """Creates a user with an access key."""
    iam, name = emulator.client("iam"), unique("user")
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return arn, Credentials(key["AccessKeyId"], key["SecretAccessKey"])


def call(
    url: str, credentials: Credentials | None, *, body: bytes = b'{"action": "cancel"}', sent: bytes | None = None,
    service: str = "lambda", age: timedelta = timedelta(),
) -> tuple[int, dict]:
    """Signs a request for a body, sends it, with another body if one is given, and returns status and answer."""
    request = AWSRequest("POST", url, data=body, headers={"content-type": "application/json"})
    if credentials is not None:
        now = datetime.now(timezone.utc).replace(tzinfo=None) - age
        with mock.patch("botocore.auth.get_current_datetime", return_value=now):
            SigV4Auth(credentials, service, REGION).add_auth(request)
    # The name of the URL does not resolve everywhere.
    host = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=30)
    connection.request("POST", "/", sent or body, {**dict(request.prepare().headers.items()), "Host": host.netloc})
    with connection.getresponse() as reply:
        return reply.status, json.loads(reply.read())


@patch("url-caller")
def test_the_event_names_the_verified_user(emulator: Emulator) -> None:
    url, (arn, credentials) = address(emulator), user(emulator)
    status, context = call(url, credentials)
    assert status == 200, context
    caller = context.get("authorizer", {}).get("iam", {})
    assert (caller.get("userArn"), caller.get("accountId")) == (arn, ACCOUNT)
    assert caller["accessKey"] == credentials.access_key
    assert caller["userId"] == caller["callerId"] != ""


@patch("url-caller")
def test_the_event_names_the_session_of_a_role(emulator: Emulator) -> None:
    iam, name = emulator.client("iam"), unique("deployers")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    session = emulator.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="alice")["Credentials"]
    credentials = Credentials(session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])
    status, context = call(address(emulator), credentials)
    assert status == 200, context
    caller = context.get("authorizer", {}).get("iam", {})
    assert caller.get("userArn") == f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/alice"
    assert caller["userId"].endswith(":alice")


@patch("url-signature")
def test_a_request_with_a_wrong_signature_does_not_reach_the_function(emulator: Emulator) -> None:
    url, (_, credentials) = address(emulator), user(emulator)
    another = Credentials(credentials.access_key, "wrong" * 8)
    stranger = Credentials("AKIAXXXXXXXXXXXXXXXX", credentials.secret_key)
    answers = {
        "key": call(url, another),
        "body": call(url, credentials, sent=b'{"action": "approve"}'),
        "user": call(url, stranger),
        "service": call(url, credentials, service="s3"),
        "time": call(url, credentials, age=timedelta(minutes=20)),
    }
    assert {what: status for what, (status, _) in answers.items()} == dict.fromkeys(answers, 403)
    assert "signature we calculated does not match" in answers["key"][1]["Message"]


def test_a_request_without_a_signature_is_forbidden(patched: Emulator) -> None:
    assert call(address(patched), None) == (403, {"Message": "Forbidden"})
