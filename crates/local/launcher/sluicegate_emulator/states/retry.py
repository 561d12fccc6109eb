"""Retry and Catch of Task, Parallel and Map."""

from __future__ import annotations

import random
from collections.abc import Callable

from ministack.services import stepfunctions as sfn

from sluicegate_emulator.states.attempt import Error
from sluicegate_emulator.states.scope import current

TERMINAL = frozenset({"States.DataLimitExceeded", "States.Runtime"})
"""Errors that `States.ALL` and `States.TaskFailed` do not match."""


def error_matches(names: list[str], error: str) -> bool:
    """Returns whether an `ErrorEquals` list matches an error, as described in the Step Functions guide on error handling."""
    if error in names:
        return True
    if error == "States.HeartbeatTimeout" and "States.Timeout" in names:
        return True
    if error in TERMINAL:
        return False
    return "States.ALL" in names or ("States.TaskFailed" in names and error != "States.Timeout")


def delay(retrier: dict, count: int) -> float:
    """Returns the seconds to wait before retry number `count` (from 0)."""
    seconds = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** count
    seconds = min(seconds, retrier.get("MaxDelaySeconds", seconds))
    if retrier.get("JitterStrategy") == "FULL":
        seconds = random.uniform(0, seconds)
    return seconds


def with_retry_and_catch(state: dict, raw: object, ctx: dict, attempt: Callable[[], tuple]) -> tuple:
    """Runs `attempt` with the state's Retry and Catch. Returns (output, name of the next state)."""
    entered = ctx["State"]
    counts: dict[int, int] = {}
    while True:
        ctx["State"] = {**entered, "RetryCount": sum(counts.values())}
        try:
            return attempt()
        except Error as err:
            retrier, index = sfn._find_matching_retrier(state.get("Retry", []), err.error, counts)
            if retrier is not None:
                sfn._scaled_sleep(delay(retrier, counts.get(index, 0)))
                counts[index] = counts.get(index, 0) + 1
                continue
            catcher = sfn._find_matching_catcher(state.get("Catch", []), err.error)
            if catcher is None:
                raise
            output = sfn._apply_catcher(
                catcher, raw, ctx, sfn._state_query_language(state, ctx), {"Error": err.error, "Cause": err.cause}
            )
            return output, catcher["Next"]


def scaled_sleep(seconds: float) -> None:
    """Sleeps (multiplied by `SFN_WAIT_SCALE`). Raises `Stopped` when the scope is stopped."""
    current().sleep(seconds * sfn._SFN_WAIT_SCALE)


def apply() -> None:
    """Replaces MiniStack's functions with those above."""
    sfn._error_matches = error_matches
    sfn._with_retry_and_catch = with_retry_and_catch
    sfn._scaled_sleep = scaled_sleep
