"""ECR repository addresses at which the emulator's registry responds."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable

from ministack.services import ecr

_AWS_HOST = re.compile(r"^\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/")


def host() -> str:
    """Returns the registry's host and port."""
    return f"127.0.0.1:{os.environ['GATEWAY_PORT']}"


def reachable(image: str) -> str:
    """Replaces AWS's registry host in an image name with the emulator's."""
    return _AWS_HOST.sub(f"{host()}/", image)


def authorization_token(original: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
    """Wraps GetAuthorizationToken: returns the emulator's registry as the endpoint."""

    def answer(data: dict) -> tuple:
        status, headers, body = original(data)
        reply = json.loads(body)
        for entry in reply.get("authorizationData", []):
            entry["proxyEndpoint"] = f"http://{host()}"
        return status, headers, json.dumps(reply).encode()

    return answer


def apply() -> None:
    """Replaces MiniStack's functions with those above."""
    ecr._repo_uri = lambda name: f"{host()}/{name}"
    ecr._get_authorization_token = authorization_token(ecr._get_authorization_token)
