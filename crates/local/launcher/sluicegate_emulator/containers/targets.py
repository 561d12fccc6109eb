"""Target groups: health checks, routing to healthy targets only, and draining."""

from __future__ import annotations

import http.client
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ministack.core.arn import parse_arn
from ministack.core.responses import StreamingResponse
from ministack.services import alb

logger = logging.getLogger("alb")

INTERVAL_SECONDS = 2.0
"""The maximum interval between checks. Shorter than a group's own interval, so that a local run does not have to wait."""

Key = tuple[str, str, int]
"""A target: ARN of its group, address, port."""


@dataclass
class Health:
    """The results of the checks of one target."""

    state: str = "initial"
    reason: str = "Elb.RegistrationInProgress"
    bad: int = 0
    due: float = field(default_factory=time.monotonic)
    running: bool = False


_lock = threading.Lock()
_health: dict[Key, Health] = {}
_busy: Counter[tuple[str, int]] = Counter()
_checks = ThreadPoolExecutor(max_workers=16, thread_name_prefix="target-health")
_started = threading.Event()


def state_of(group: str, address: str, port: int) -> str:
    """Returns a target's state: initial, healthy, unhealthy, or unused when it is not registered."""
    with _lock:
        found = _health.get((group, address, port))
        return found.state if found else "unused"


def drained(address: str, seconds: float) -> None:
    """Waits until no request to an address is in progress, at most `seconds`."""
    time.sleep(0.3)  # for requests that selected the target just before it was deregistered
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with _lock:
            if not any(count for (to, _), count in _busy.items() if to == address):
                return
        time.sleep(0.05)


def draining_seconds(group: str) -> float:
    """Returns a target group's deregistration delay."""
    for attribute in alb._tg_attrs.get(group, []):
        if attribute["Key"] == "deregistration_delay.timeout_seconds":
            return float(attribute["Value"])
    return 300.0


def start() -> None:
    """Starts the checks. Does nothing when they have already started."""
    if not _started.is_set():
        _started.set()
        threading.Thread(target=_run, daemon=True, name="target-health").start()


def _run() -> None:
    while True:
        try:
            _pass()
        except Exception:  # noqa: BLE001: a group was deleted concurrently; the next pass skips it
            logger.debug("health pass", exc_info=True)
        time.sleep(0.1)


def _pass() -> None:
    now = time.monotonic()
    registered: dict[Key, dict] = {}
    for (account, group), targets in list(alb._targets._data.items()):
        record = alb._tgs.get_scoped(account, parse_arn(group).region, group)
        if record and record.get("TargetType") in ("ip", "instance"):
            for target in list(targets):
                registered[group, target["Id"], int(target.get("Port") or record["Port"])] = record
    with _lock:
        for key in set(_health) - set(registered):
            del _health[key]
        for key, record in registered.items():
            health = _health.setdefault(key, Health())
            if health.due <= now and not health.running:
                health.running = True
                _checks.submit(_check, key, record, health)


def _check(key: Key, record: dict, health: Health) -> None:
    _, address, port = key
    reason = None
    if record.get("HealthCheckEnabled", True):
        check_port = record.get("HealthCheckPort", "traffic-port")
        reason = _ask(record, address, port if check_port == "traffic-port" else int(check_port))
    with _lock:
        health.running = False
        if reason is None:
            health.state, health.reason, health.bad = "healthy", "", 0
        else:
            health.bad += 1
            if health.bad >= record.get("UnhealthyThresholdCount", 2) and not _starting(health, record):
                health.state, health.reason = "unhealthy", reason
        interval = min(INTERVAL_SECONDS, record.get("HealthCheckIntervalSeconds", 30))
        health.due = time.monotonic() + (0.25 if health.state == "initial" else interval)


def _starting(health: Health, record: dict) -> bool:
    """Returns whether a failing new target is still initial: it is checked four times a second, but its threshold counts intervals."""
    interval = min(INTERVAL_SECONDS, record.get("HealthCheckIntervalSeconds", 30))
    return health.state == "initial" and health.bad * 0.25 < record.get("UnhealthyThresholdCount", 2) * interval


def _ask(record: dict, address: str, port: int) -> str | None:
    """Returns None when the target responds as its group requires, otherwise AWS's reason code."""
    connection = http.client.HTTPConnection(address, port, timeout=record.get("HealthCheckTimeoutSeconds", 5))
    try:
        connection.request("GET", record.get("HealthCheckPath", "/"), headers={"User-Agent": "ELB-HealthChecker/2.0"})
        status = connection.getresponse().status
    except TimeoutError:
        return "Target.Timeout"
    except (OSError, http.client.HTTPException):
        return "Target.FailedHealthChecks"
    finally:
        connection.close()
    for part in record.get("Matcher", {}).get("HttpCode", "200").split(","):
        low, _, high = part.partition("-")
        if int(low) <= status <= int(high or low):
            return None
    return "Target.ResponseCodeMismatch"


def forward(original: Callable) -> Callable:
    """Routes to healthy targets, or to all checked targets if none is healthy. Responds with 503 if none was checked."""

    async def forward_to_group(group: str, method: str, path: str, headers: dict, body: bytes, query: dict,
                               raw_query: str | None = None, raw_path: str | None = None) -> tuple:
        record = alb._tgs.get(group)
        targets = list(alb._targets.get(group, []))
        if not record or not targets or record.get("TargetType", "instance") == "lambda":
            return await original(group, method, path, headers, body, query, raw_query, raw_path)

        def having(*states: str) -> list[dict]:
            return [t for t in targets if state_of(group, t["Id"], int(t.get("Port") or record["Port"])) in states]

        chosen = having("healthy") or having("unhealthy")
        if not chosen:
            return 503, {"Content-Type": "text/plain"}, b"no target in service"
        target = random.choice(chosen)
        return await alb._proxy_http_target(target, record, method, raw_path or path, headers, body, query, raw_query)

    return forward_to_group


def proxy(original: Callable) -> Callable:
    """Counts the requests in progress to a target, until the last byte of the response."""

    async def proxy_http_target(target: dict, record: dict, *rest: object) -> tuple:
        key = (target["Id"], int(target.get("Port") or record["Port"]))

        def done() -> None:
            with _lock:
                _busy[key] -= 1
                if not _busy[key]:
                    del _busy[key]

        with _lock:
            _busy[key] += 1
        try:
            status, headers, body = await original(target, record, *rest)
        except BaseException:
            done()
            raise
        if not isinstance(body, StreamingResponse):
            done()
            return status, headers, body
        inner = body.runner

        async def runner(send: Callable, receive: Callable) -> None:
            try:
                await inner(send, receive)
            finally:
                done()

        return status, headers, StreamingResponse(runner)

    return proxy_http_target


def describe_health(params: dict) -> tuple:
    """Implements DescribeTargetHealth with the results of the checks."""
    group = alb._p(params, "TargetGroupArn")
    record = alb._tgs.get(group)
    if not record:
        return alb._error("TargetGroupNotFound", f"Target group '{group}' not found.")
    known = {(t["Id"], int(t.get("Port") or record["Port"])) for t in alb._targets.get(group, [])}
    asked = {(t["Id"], int(t.get("Port") or record["Port"])) for t in alb._parse_targets_param(params)} or known
    members = []
    for address, port in sorted(asked):
        if record.get("TargetType") == "lambda":
            state, reason = "unavailable", "Target.HealthCheckDisabled"
        elif (address, port) not in known:
            state, reason = "unused", "Target.NotRegistered"
        else:
            with _lock:
                found = _health.get((group, address, port), Health())
                state, reason = found.state, found.reason
        why = f"<Reason>{reason}</Reason>" if reason else ""
        members.append(
            f"<member><Target><Id>{address}</Id><Port>{port}</Port></Target><HealthCheckPort>{port}</HealthCheckPort>"
            f"<TargetHealth><State>{state}</State>{why}</TargetHealth></member>"
        )
    descriptions = f"<TargetHealthDescriptions>{''.join(members)}</TargetHealthDescriptions>"
    return alb._xml(200, "DescribeTargetHealth", descriptions)


def registered(original: Callable) -> Callable:
    """Starts the checks when the first target is registered."""

    def register(*arguments: object, **named: object) -> object:
        start()
        return original(*arguments, **named)

    return register


def apply() -> None:
    """Replaces MiniStack's functions with those above."""
    alb._forward_to_tg = forward(alb._forward_to_tg)
    alb._proxy_http_target = proxy(alb._proxy_http_target)
    alb._ACTION_MAP["DescribeTargetHealth"] = describe_health
    alb._ACTION_MAP["RegisterTargets"] = registered(alb._ACTION_MAP["RegisterTargets"])
    alb.set_targets_for_group = registered(alb.set_targets_for_group)
