"""Which threads may still run: a tree of scopes, one per execution and one per Parallel or Map in it.

Stopping a scope stops everything below it. A thread is notified by the `Stopped` exception while it waits (`sleep`,
`Attempt.wait`) or between two states (`check`).
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable


class Stopped(BaseException):
    """The scope of this thread was stopped. Not an `Exception`, so that no handler of state errors catches it."""


class Scope:
    """A part of an execution that can be stopped as a unit."""

    def __init__(self, parent: Scope | None = None) -> None:
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._listeners: list[Callable[[], None]] = []
        self._parent = parent
        if parent is not None:
            parent.listen(self.stop)

    def stop(self) -> None:
        """Stops this scope and all scopes below it. Returns immediately. Safe to call from any thread, and repeatedly."""
        with self._lock:
            self._stopped.set()
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()

    def close(self) -> None:
        """Detaches a finished scope from its parent."""
        if self._parent is not None:
            self._parent.forget(self.stop)

    @property
    def stopped(self) -> bool:
        """Whether this scope, or one above it, was stopped."""
        return self._stopped.is_set()

    def check(self) -> None:
        """Raises `Stopped` if the scope was stopped."""
        if self.stopped:
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Sleeps, and raises `Stopped` as soon as the scope is stopped."""
        if self._stopped.wait(max(seconds, 0)):
            raise Stopped

    def listen(self, listener: Callable[[], None]) -> None:
        """Calls `listener` once when the scope stops, or immediately if it is already stopped."""
        with self._lock:
            if not self.stopped:
                self._listeners.append(listener)
                return
        listener()

    def forget(self, listener: Callable[[], None]) -> None:
        """Removes a listener."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)


CURRENT: contextvars.ContextVar[Scope | None] = contextvars.ContextVar("scope", default=None)
"""The scope of the calling thread. Threads started with a copied context inherit it."""


def current() -> Scope:
    """Returns the scope of the calling thread. Outside an execution, returns a scope that is never stopped."""
    return CURRENT.get() or Scope()


def spawn(target: Callable[..., None], *args: object, name: str) -> None:
    """Starts a daemon thread that keeps the caller's account, region and scope."""
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(target, *args), daemon=True, name=name).start()
