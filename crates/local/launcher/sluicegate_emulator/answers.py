"""Answers arrive whole: what a client of the Go SDK needs so that it does not ask twice.

The SDK closes a request's body as soon as it sees the head of the answer. Its transport may be about to look for the body's end
just then (on a busy machine, with an emulator that answers in half a millisecond): it takes the closed body for an error, closes
the connection and asks again. A CreateAlias is then refused, since the alias exists. What the client has read by then stays
readable, so an answer that arrives with its head in one segment is safe. Newer versions of the SDK are patched; the AWS provider
5.100 is built with an older one.
"""

from __future__ import annotations

import h11
from hypercorn.events import RawData
from hypercorn.protocol.events import StreamClosed
from hypercorn.protocol.h11 import H11Protocol

IDLE = 3600
"""Seconds that an idle connection stays open: more than the 90 of Go's client, so that the client closes it, never the server
while a request is under way."""

_stream_send = H11Protocol.stream_send


async def _send_event(self: H11Protocol, event: object) -> None:
    """Keeps the head of an answer whose length is known until the first of its body is there."""
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
    """Lets a head go whose body never came: the client is to see an answer that was cut off."""
    if isinstance(event, StreamClosed) and (head := getattr(self, "_head", b"")):
        self._head = b""
        await self.send(RawData(data=head))
    await _stream_send(self, event)


def apply() -> None:
    """Replaces what writes to a connection, those of load balancers too."""
    H11Protocol.stream_send = stream_send
    H11Protocol._send_h11_event = _send_event
