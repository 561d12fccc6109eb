"""ECR: addresses at which the emulator's registry answers."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable

from ministack.services import ecr

_AWS_HOST = re.compile(r"^\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/")


def host() -> str:
    """The registry's host and port."""
    return f"127.0.0.1:{os.environ['GATEWAY_PORT']}"


def reachable(image: str) -> str:
    """An image's name with AWS's registry host replaced by the emulator's."""
    return _AWS_HOST.sub(f"{host()}/", image)


def authorization_token(original: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
    """GetAuthorizationToken with the emulator's registry as its endpoint."""

    def answer(data: dict) -> tuple:
        status, headers, body = original(data)
        reply = json.loads(body)
        for entry in reply.get("authorizationData", []):
            entry["proxyEndpoint"] = f"http://{host()}"
        return status, headers, json.dumps(reply).encode()

    return answer


def apply() -> None:
    """Puts the functions above in place of MiniStack's."""
    ecr._repo_uri = lambda name: f"{host()}/{name}"
    ecr._get_authorization_token = authorization_token(ecr._get_authorization_token)
