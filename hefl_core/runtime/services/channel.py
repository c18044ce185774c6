"""gRPC with plain bytes: no generated code, no protobuf, no pickle. Everybody takes ``grpc`` from here.

The library reads its settings while it is imported, so they are set first: it prints nothing by itself (it would name
peers on stderr beside our log), and its fork handlers are off, as parties are started by exec.
"""

from __future__ import annotations

import os
from typing import Final

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc

from hefl_core.wire.limits import MAX_BODY_BYTES, MAX_HEADER_BYTES, MIB

__all__ = ["ATTEND", "OPTIONS", "REPORT", "SERVICE", "grpc", "server_options"]

SERVICE: Final = "hefl.Exchange"
ATTEND: Final = "Attend"
REPORT: Final = "Report"
MAX_MESSAGE: Final = MAX_BODY_BYTES + 2 * MAX_HEADER_BYTES + MIB
"""One envelope with its frame."""
KEEPALIVE_MS: Final = 5_000
HANDSHAKE_SECONDS: Final = 10
"""So long may whoever connects take to prove a name."""
IDLE_SECONDS: Final = 10
"""So long may a connection stand on which nothing is called; whoever attends has a call open all the time."""
SPARE_CONNECTIONS: Final = 256
"""At a time, beyond two for each seat: a flood of strangers must not use up the process's files."""
CALLS_PER_CONNECTION: Final = 8
"""Attending and reporting are two."""
OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),
    ("grpc.enable_http_proxy", 0),
)
"""Answered pings are how a silent partition is noticed: the library answers them in threads of its own, whatever Python does."""


def server_options(seats: int) -> tuple[tuple[str, int], ...]:
    """What the listening end adds: strangers, and who has nothing to say, are shown the door. The library does it in its
    own threads, whatever Python does.

    An outsider who never stops connecting still keeps newcomers waiting while it does; who is seated stays.
    """
    return (
        *OPTIONS,
        ("grpc.server_handshake_timeout_ms", 1000 * HANDSHAKE_SECONDS),
        ("grpc.max_connection_idle_ms", 1000 * IDLE_SECONDS),
        ("grpc.max_allowed_incoming_connections", SPARE_CONNECTIONS + 2 * seats),
        ("grpc.max_concurrent_streams", CALLS_PER_CONNECTION),
    )
