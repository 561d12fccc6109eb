"""Sends small responses in one piece, so that clients of the Go SDK do not repeat requests.

The SDK closes a request's body as soon as it receives the response headers. At that moment its transport may still be reading
the end of the body (on a busy machine, with an emulator that responds in half a millisecond). It then treats the closed body as
an error, closes the connection and repeats the request. A repeated CreateAlias fails, because the alias exists. Data that the
client has already received stays readable, so a response whose headers and body arrive in one segment is safe. Newer versions of
the SDK contain a fix; the AWS provider 5.100 uses an older one.
"""

from __future__ import annotations

import h11
from hypercorn.events import RawData
from hypercorn.protocol.events import StreamClosed
from hypercorn.protocol.h11 import H11Protocol

IDLE = 3600
"""Seconds that an idle connection stays open. Longer than the 90 seconds of Go's client, so that the client closes the
connection, and never the server during a request."""

_stream_send = H11Protocol.stream_send


async def _send_event(self: H11Protocol, event: object) -> None:
    """Holds back the headers of a response of known length until the first part of its body is available."""
    try:
        data = self.connection.send(event)
    except h11.LocalProtocolError:
        if self.connection.their_state != h11.ERROR:
            raise
        return
    data = getattr(self, "_head", b"") + data
    waits = isinstance(event, h11.Response) and any(name == b"content-length" for name, _ in event.headers)
    self._head = data if waits else b""
    if not waits:
        await self.send(RawData(data=data))


async def stream_send(self: H11Protocol, event: object) -> None:
    """Sends headers whose body was never written, so that the client sees a truncated response."""
    if isinstance(event, StreamClosed) and (head := getattr(self, "_head", b"")):
        self._head = b""
        await self.send(RawData(data=head))
    await _stream_send(self, event)


def apply() -> None:
    """Replaces the function that writes to connections, including those of load balancers."""
    H11Protocol.stream_send = stream_send
    H11Protocol._send_h11_event = _send_event
