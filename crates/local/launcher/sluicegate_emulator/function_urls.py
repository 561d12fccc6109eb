"""Function URLs with IAM authentication: the signature is verified, and the event names the caller."""

from __future__ import annotations

import contextvars
import json
from collections.abc import Callable

from ministack.core import iam_evaluator, sigv4
from ministack.core.responses import new_uuid
from ministack.services import lambda_svc

_caller: contextvars.ContextVar[dict | None] = contextvars.ContextVar("caller", default=None)


def verify(method: str, path: str, headers: dict, body: bytes, query_params: dict, region: str) -> dict | tuple[str, str]:
    """Verifies a request that is signed by its headers. Returns the caller as the event names it, or error and message."""
    if not headers.get("authorization", "").startswith("AWS4-HMAC-SHA256"):
        return "AccessDeniedException", "Forbidden"
    signature = sigv4.parse_header_signature(headers)
    if isinstance(signature, tuple):
        return signature
    late = sigv4.request_time_failure(signature)
    if late:
        return late
    if (signature.service, signature.region) != ("lambda", region):
        return "InvalidSignatureException", f"Credential should be scoped to a valid region: lambda in {region}."
    key = signature.access_key_id
    from ministack.core.responses import _account_from_sts_session

    account = _account_from_sts_session(key) or iam_evaluator.find_iam_access_key_account(key)
    found = iam_evaluator.resolve_credential(key, account, headers.get("x-amz-security-token", ""))
    if isinstance(found, iam_evaluator.CredentialResolutionError):
        return found.code, found.message
    failure = sigv4.header_signature_failure(
        signature, found.secret_access_key, method, path, query_params, headers, body)
    return failure or {
        "accessKey": key,
        "accountId": found.account_id,
        "callerId": found.principal_id,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": found.principal_arn,
        "userId": found.principal_id,
    }


def handle_request(original: Callable) -> Callable:
    """Wraps the front end of function URLs. MiniStack accepts any request that has a signature."""

    async def handle(
        url_id: str, method: str, path: str, headers: dict, body: bytes, query_params: dict,
        resolved: tuple | None = None, source_ip: str | None = None,
    ) -> tuple:
        resolved = resolved or lambda_svc.resolve_function_url(url_id)
        if resolved is None or resolved[4].get("AuthType") != "AWS_IAM":
            return await original(url_id, method, path, headers, body, query_params, resolved, source_ip)
        caller = verify(method, path, headers, body, query_params, resolved[1])
        if isinstance(caller, tuple):
            error, message = caller
            answer = {"Content-Type": "application/json", "x-amzn-RequestId": new_uuid(), "x-amzn-ErrorType": error}
            return 403, answer, json.dumps({"Message": message}).encode()
        before = _caller.set(caller)
        try:
            return await original(url_id, method, path, headers, body, query_params, resolved, source_ip)
        finally:
            _caller.reset(before)

    return handle


def build_event(original: Callable[..., dict]) -> Callable[..., dict]:
    """Wraps the event of a function URL to name the verified caller."""

    def build(*args: object, **fields: object) -> dict:
        event, caller = original(*args, **fields), _caller.get()
        if caller is not None:
            event["requestContext"]["accountId"] = caller["accountId"]
            event["requestContext"]["authorizer"] = {"iam": caller}
        return event

    return build


def apply() -> None:
    """Replaces MiniStack's functions with those above."""
    lambda_svc.handle_function_url_request = handle_request(lambda_svc.handle_function_url_request)
    lambda_svc._build_function_url_event = build_event(lambda_svc._build_function_url_event)
