"""gRPC with plain bytes: no generated code, no protobuf, no pickle. All modules import ``grpc`` from here.

The library reads its settings at import time, so they are set first: it prints nothing itself (it would name peers on
stderr beside our log), and its fork handlers are off, because parties are started by exec.
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
"""Deadline for a connecting peer to prove a name."""
IDLE_SECONDS: Final = 10
"""How long a connection may stand without a call; an attending party always has a call open."""
SPARE_CONNECTIONS: Final = 256
"""Connections beyond two per seat: a flood of strangers must not exhaust the process's file descriptors."""
CALLS_PER_CONNECTION: Final = 8
"""Attending and reporting take two."""
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
"""Pings reveal a silent partition. The library answers them in its own threads, even while Python is busy."""


def server_options(seats: int) -> tuple[tuple[str, int], ...]:
    """Options of the listening end: disconnect strangers and idle peers. The library does so in its own threads, even
    while Python is busy.

    An outsider that keeps connecting can still delay newcomers; seated parties stay connected.
    """
    return (
        *OPTIONS,
        ("grpc.server_handshake_timeout_ms", 1000 * HANDSHAKE_SECONDS),
        ("grpc.max_connection_idle_ms", 1000 * IDLE_SECONDS),
        ("grpc.max_allowed_incoming_connections", SPARE_CONNECTIONS + 2 * seats),
        ("grpc.max_concurrent_streams", CALLS_PER_CONNECTION),
    )
