"""Lambda: a warm invocation takes milliseconds."""

from __future__ import annotations

from ministack.core import lambda_runtime


def apply() -> None:
    """Removes two delays of MiniStack's runtime: 50 ms for log lines of a silent handler, and 40 ms of delayed ACK."""
    lambda_runtime.Worker._drain_stderr_bounded.__defaults__ = (0.004, 0.003, 0.250)
    original = lambda_runtime.ProvidedWorker._build_handler_class

    def build_handler_class(self: object, generation: int, pending: object) -> type:
        handler = original(self, generation, pending)
        handler.disable_nagle_algorithm = True
        handler.wbufsize = 65536  # one segment for headers and body
        return handler

    lambda_runtime.ProvidedWorker._build_handler_class = build_handler_class
