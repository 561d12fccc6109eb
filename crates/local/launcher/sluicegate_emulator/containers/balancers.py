"""Working load balancers: each has a port of 127.0.0.1, which its DNS name contains."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs

from ministack import app as ministack
from ministack.core.arn import parse_arn
from ministack.core.responses import StreamingResponse, request_scope
from ministack.services import alb

logger = logging.getLogger("alb")


@dataclass
class Door:
    """A load balancer's listening socket and the server behind it."""

    socket: socket.socket
    stop: asyncio.Event


_doors: dict[str, Door] = {}


def open_door(record: dict) -> None:
    """Opens a load balancer's port and writes it to its DNS name. The server starts on MiniStack's event loop."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    door = Door(listening, asyncio.Event())
    arn = record["LoadBalancerArn"]
    record["DNSName"] = "127.0.0.1:{}".format(listening.getsockname()[1])
    _doors[arn] = door
    asyncio.run_coroutine_threadsafe(_serve(arn, record, door), ministack._MAIN_LOOP)


def close_door(arn: str) -> None:
    """Closes a load balancer's port."""
    door = _doors.pop(arn, None)
    if door is not None:
        ministack._MAIN_LOOP.call_soon_threadsafe(door.stop.set)


async def _serve(arn: str, record: dict, door: Door) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{door.socket.fileno()}"]
    config.loglevel = "WARNING"
    config.graceful_timeout = 1
    config.keep_alive_timeout = 60  # as on AWS; hypercorn's five seconds interrupt clients that reuse a connection
    try:
        await serve.original(_application(arn, record), config, shutdown_trigger=door.stop.wait)
    except Exception:  # noqa: BLE001: a failed load balancer must not stop the emulator
        logger.exception("the server of %s ended", arn)
    finally:
        door.socket.close()


def _application(arn: str, record: dict) -> Callable:
    """Returns the ASGI application of one load balancer."""
    spec = parse_arn(arn)

    async def application(scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        if scope["type"] != "http":
            return
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        query = scope["query_string"].decode("latin-1")
        with request_scope(spec.account_id, spec.region):
            ports = [one["Port"] for one in alb._listeners.values() if one["LoadBalancerArn"] == arn]
            try:
                status, reply, content = await alb.dispatch_request(
                    record, scope["method"], scope["path"], headers, body, parse_qs(query, keep_blank_values=True),
                    80 if 80 in ports else min(ports, default=80), client_ip=(scope.get("client") or ["127.0.0.1"])[0],
                    raw_query_string=query, raw_path=scope["raw_path"].decode("latin-1"),
                )
            except Exception as err:  # noqa: BLE001: reported as the load balancer's own error
                logger.exception("a request to %s failed", arn)
                status, reply, content = 500, {}, json.dumps({"message": str(err)}).encode()
            if isinstance(content, StreamingResponse):
                await ministack._send_streaming_response(send, receive, status, reply, content)
            else:
                await ministack._send_response(send, status, reply, content, head=scope["method"] == "HEAD")

    return application


def create(original: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
    """Wraps CreateLoadBalancer: opens a port for the new load balancer before the response is written."""

    def create_lb(params: dict) -> tuple:
        before = set(alb._lbs)
        reply = original(params)
        for arn in set(alb._lbs) - before:
            old = alb._lbs[arn]["DNSName"]
            open_door(alb._lbs[arn])
            status, headers, body = reply
            text = body.decode() if isinstance(body, bytes) else body
            reply = status, headers, text.replace(old, alb._lbs[arn]["DNSName"]).encode()
        return reply

    return create_lb


def delete(original: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
    """Wraps DeleteLoadBalancer: closes its port and deletes its listeners."""

    def delete_lb(params: dict) -> tuple:
        arn = alb._p(params, "LoadBalancerArn")
        close_door(arn)
        for listener in [key for key, one in alb._listeners.items() if one["LoadBalancerArn"] == arn]:
            alb._listeners.pop(listener, None)
        for group in alb._tgs.values():
            if arn in group.get("LoadBalancerArns", []):
                group["LoadBalancerArns"].remove(arn)
        return original(params)

    return delete_lb


def apply() -> None:
    """Replaces MiniStack's functions with those above."""
    alb._ACTION_MAP["CreateLoadBalancer"] = create(alb._ACTION_MAP["CreateLoadBalancer"])
    alb._ACTION_MAP["DeleteLoadBalancer"] = delete(alb._ACTION_MAP["DeleteLoadBalancer"])
    original = alb.reset

    def reset() -> None:
        for arn in list(_doors):
            close_door(arn)
        original()

    alb.reset = reset
