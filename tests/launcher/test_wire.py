"""Connections as a client of the Go SDK needs them. The last file, so that the checked connection has been idle for long."""

from __future__ import annotations

import socket
import time

from conftest import Emulator, patch

REQUEST = (
    b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Amz-Target: AmazonSQS.ListQueues\r\n"
    b"Content-Type: application/x-amz-json-1.0\r\nContent-Length: 2\r\n\r\n{}"
)
GO_KEEPS = 90
"""Seconds within which Go's client reuses an idle connection."""


def ask(connection: socket.socket) -> bytes:
    """Returns the first data of the response to a request."""
    connection.sendall(REQUEST)
    return connection.recv(65536)


@patch("whole-answers")
def test_an_answer_arrives_in_one_piece(emulator: Emulator) -> None:
    with socket.create_connection(("127.0.0.1", emulator.port), 10) as connection:
        for _ in range(100):
            head, _, body = ask(connection).partition(b"\r\n\r\n")
            length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            assert head.startswith(b"HTTP/1.1 200") and len(body) == length > 0


@patch("idle-connections")
def test_a_connection_that_go_would_use_again_is_open(emulator: Emulator) -> None:
    opened, connection = emulator.idle
    time.sleep(max(0.0, opened + GO_KEEPS - time.monotonic()))
    assert ask(connection).startswith(b"HTTP/1.1 200")
