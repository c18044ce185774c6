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

__all__ = ["ATTEND", "OPTIONS", "REPORT", "SERVICE", "grpc"]

SERVICE: Final = "hefl.Exchange"
ATTEND: Final = "Attend"
REPORT: Final = "Report"
MAX_MESSAGE: Final = MAX_BODY_BYTES + 2 * MAX_HEADER_BYTES + MIB
"""One envelope with its frame."""
KEEPALIVE_MS: Final = 5_000
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
