"""One attempt of a task: its outcome, its deadlines and its token."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time

from ministack.services import stepfunctions as sfn

from sluicegate_emulator.states.scope import Scope

Error = sfn._ExecutionError


class Attempt:
    """The outcome of one attempt, set once by the first of: the call, a callback, a deadline, a stop."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._outcome: tuple[object, Error | None] | None = None
        self._beat = time.monotonic()
        self._stopped = False
        self.cancelled = threading.Event()
        """Set when the wait for the attempt ended without an outcome: a running job must then be stopped."""

    def succeed(self, value: object) -> bool:
        """Ends the attempt with a value. False when it had ended or was stopped before."""
        return self._end(value, None)

    def fail(self, error: Error) -> bool:
        """Ends the attempt with an error. False when it had ended or was stopped before."""
        return self._end(None, error)

    def _end(self, value: object, error: Error | None) -> bool:
        with self._changed:
            if self._outcome is not None or self._stopped or self.cancelled.is_set():
                return False
            self._outcome = (value, error)
            self._changed.notify_all()
            return True

    def beat(self) -> bool:
        """Records a heartbeat. False when the attempt has ended or was stopped."""
        with self._changed:
            if self._outcome is not None or self._stopped or self.cancelled.is_set():
                return False
            self._beat = time.monotonic()
            self._changed.notify_all()
            return True

    def stop(self) -> None:
        """Refuses every outcome from now on. The scope of the attempt calls it when it stops."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def wait(self, timeout: float | None, heartbeat: float | None, scope: Scope) -> object:
        """Waits for the attempt's outcome and returns its value.

        Raises the attempt's error, `States.Timeout` after `timeout` seconds, `States.HeartbeatTimeout` after `heartbeat`
        seconds without a heartbeat, or `Stopped` when the scope is stopped. Cancels the attempt when the wait ends without an
        outcome.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while self._outcome is None:
                if self._stopped:
                    self.cancelled.set()
                    scope.check()
                now = time.monotonic()
                silence = None if heartbeat is None else self._beat + heartbeat
                if end is not None and now >= end:
                    self.cancelled.set()
                    raise Error("States.Timeout", f"Task timed out after {timeout:g} seconds")
                if silence is not None and now >= silence:
                    self.cancelled.set()
                    raise Error("States.HeartbeatTimeout", f"No heartbeat came for {heartbeat:g} seconds")
                limits = [limit - now for limit in (end, silence) if limit is not None]
                self._changed.wait(min(limits, default=None))
            value, error = self._outcome
        if error is not None:
            raise error
        return value


class Tokens:
    """The issued task tokens. Each belongs to one attempt, and expires when the attempt ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, Attempt] = {}
        self._issued: set[str] = set()

    def issue(self, attempt: Attempt) -> str:
        """Issues a new token for an attempt."""
        token = "AQCsluicegate" + base64.b64encode(secrets.token_bytes(60)).decode()
        with self._lock:
            self._open[token] = attempt
            self._issued.add(token)
        return token

    def retire(self, token: str) -> None:
        """Expires a token: it then causes `TaskTimedOut`."""
        with self._lock:
            self._open.pop(token, None)

    def find(self, token: str) -> tuple[Attempt | None, bool]:
        """Returns the attempt to which a token still belongs, and whether the token was ever issued."""
        with self._lock:
            return self._open.get(token), token in self._issued

    def clear(self) -> None:
        """Removes all tokens (the emulator's reset)."""
        with self._lock:
            self._open.clear()
            self._issued.clear()


TOKENS = Tokens()

LIMIT = 256 * 1024
"""The payload limit of Step Functions, in bytes of UTF-8."""


def check_size(value: object, what: str) -> None:
    """Raises `States.DataLimitExceeded` when a payload exceeds the limit."""
    size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
    if size > LIMIT:
        raise Error(
            "States.DataLimitExceeded",
            f"The {what} returned a result with a size exceeding the maximum number of bytes service limit "
            f"({size} of {LIMIT}).",
        )
