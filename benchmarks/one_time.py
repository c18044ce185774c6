"""One-time keys beside today's packed schemes, and beside what no encryption and a shared pad would cost.

    python benchmarks/one_time.py                    10^5 and 10^6 parameters
    python benchmarks/one_time.py --quick --json one_time.json

CPU of this process in nanoseconds per parameter, K = 5: the client (quantise, tag, encrypt, serialise), the coordinator
per client (deserialise, check, add), one holder's answer in milliseconds, and opening the sum once. Cases take turns in
each repetition; medians.

*plaintext, equal bits*: the fields that the schemes carry, packed and not encrypted. *shared pad*: the same fields plus a
pad from AES under a key that all clients have, once per round (Castelluccia 2009; FLASHE, Jiang 2021). Under individual
custody it has the same limit, one client opens everything, and fewer bytes; there is no custody in which t of n hold it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from common import median, parser, repetitions, report, table
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from hefl_core.keys.sum_tag import TagKey
from hefl_core.schemes.base import CiphertextVector
from hefl_core.schemes.fixed_point import FixedPoint, pack
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme

CLIENTS, BOUND = 5, 0.25
LENGTHS, QUICK_LENGTHS = (100_000, 1_000_000), (100_000,)
ALONE, TOGETHER = Quorum(1, CLIENTS), Quorum(3, CLIENTS)
CASES = (
    ("bfv-lean", ALONE),
    ("bfv-compact", ALONE),
    ("bfv-compact-seeded", ALONE),
    ("onetime", ALONE),
    ("onetime.3bit.k5", ALONE),
    ("onetime-2048", ALONE),
    ("bfv-threshold", TOGETHER),
    ("onetime", TOGETHER),
    ("onetime.3bit.k5", TOGETHER),
)
PACKED = FixedPoint(12, CLIENTS)
PER_WORD = 5
"""Fields of 12 bits in a word of 64."""


@dataclass
class Taken:
    """CPU seconds of one turn."""

    client: float
    coordinator: float
    holder: float
    opening: float
    nbytes: int


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Process CPU seconds, and the result."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


class Encrypted:
    """A preset under a custody, labels and checks included."""

    def __init__(self, name: str, quorum: Quorum, x: np.ndarray) -> None:
        self.scheme: Any = open_scheme(name)
        self.key, shares = self.scheme.keygen(quorum)
        self.active = shares[: quorum.threshold]
        self.maker = shares[0] if self.scheme.preset.symmetric else self.key
        self.x, self.tag = x, TagKey().for_message("benchmark", 1, 1, 1, "client-1")
        # Five times one upload would add its errors up in line, past what five clients' errors can reach.
        self.others = [self.encrypt() for _ in range(CLIENTS - 1)]

    def encrypt(self) -> bytes:
        """One upload."""
        options = {"bound": BOUND, "max_terms": CLIENTS, "integers": (99, 1), "tag": self.tag}
        return bytes(self.scheme.encrypt(self.maker, self.x, **options).to_bytes())

    def add(self, upload: bytes) -> CiphertextVector:
        """The uploads of all clients."""
        running = self.scheme.accumulator(self.key)
        for one in (upload, *self.others):
            running.add(CiphertextVector.from_bytes(one))
        total: CiphertextVector = running.total()
        return total

    def turn(self) -> Taken:
        """Once through."""
        client, upload = timed(self.encrypt)
        coordinator, total = timed(lambda: self.add(upload))
        members = [share.index for share in self.active]
        holder, parts = timed(lambda: [self.scheme.partial_decrypt(share, total, members) for share in self.active])
        opening, _ = timed(lambda: self.scheme.open(self.key, total, parts))
        return Taken(client, coordinator / CLIENTS, holder / len(self.active), opening, len(upload))


class SharedPad:
    """Fields plus a pad from AES under a common key; ``hidden`` False: the bare fields, plaintext at equal bits."""

    def __init__(self, x: np.ndarray, *, hidden: bool) -> None:
        self.x, self.hidden, self.key = x, hidden, os.urandom(32)

    def pad(self, count: int, number: int) -> np.ndarray:
        """Pad of one client and round."""
        stream = Cipher(algorithms.AES(self.key), modes.CTR(number.to_bytes(16, "big"))).encryptor()
        return np.frombuffer(stream.update(bytes(8 * count)), dtype="<u8")

    def encrypt(self) -> bytes:
        """One upload: words modulo 2^64 in the pad's case, of which 60 bits carry fields."""
        words = pack(PACKED.quantise(self.x, BOUND), PER_WORD, PACKED.field_bits)
        if self.hidden:
            words = words + self.pad(len(words), 1 << 64)
        return words.astype("<u8").tobytes()

    def turn(self) -> Taken:
        """Once through."""
        client, upload = timed(self.encrypt)

        def add() -> np.ndarray:
            total = np.zeros(len(upload) // 8, dtype=np.uint64)
            for _ in range(CLIENTS):
                total += np.frombuffer(upload, dtype="<u8")
            return total

        coordinator, total = timed(add)
        opening, _ = timed(lambda: [total - self.pad(len(total), k << 64) for k in range(CLIENTS * self.hidden)])
        return Taken(client, coordinator / CLIENTS, 0.0, opening, len(upload))


def measure(length: int, turns: int) -> list[dict[str, Any]]:
    """One row per case."""
    x = np.random.default_rng(0).normal(0, 1 / 32, length).clip(-BOUND, BOUND)
    cases: dict[str, Encrypted | SharedPad] = {
        f"{name}, {'individual' if not quorum.collective else quorum}": Encrypted(name, quorum, x)
        for name, quorum in CASES
    }
    cases |= {"plaintext, equal bits": SharedPad(x, hidden=False), "shared pad": SharedPad(x, hidden=True)}
    taken: dict[str, list[Taken]] = {name: [] for name in cases}
    for turn in range(turns + 1):  # the first fills caches
        for name, case in cases.items():
            found = case.turn()
            if turn:
                taken[name].append(found)
    rows = [
        {
            "case": name,
            "length": length,
            "bytes": found[0].nbytes / length,
            "client_ns": median(one.client for one in found) * 1e9 / length,
            "coordinator_ns": median(one.coordinator for one in found) * 1e9 / length,
            "holder_ms": median(one.holder for one in found) * 1e3,
            "opening_ns": median(one.opening for one in found) * 1e9 / length,
        }
        for name, found in taken.items()
    ]
    plain = [("float32", 4.0), ("int8", 1.0)]
    return [*({"case": name, "length": length, "bytes": nbytes} for name, nbytes in plain), *rows]


def main() -> None:
    """Measure and report."""
    chosen = parser(__doc__).parse_args()
    turns = repetitions(chosen)
    fields = ("case", "bytes", "client_ns", "coordinator_ns", "holder_ms", "opening_ns")
    heads = ("case", "bytes/parameter", "client ns", "coordinator ns", "holder ms", "opening ns")
    rows, tables = [], []
    for length in QUICK_LENGTHS if chosen.quick else LENGTHS:
        here = measure(length, turns)
        rows += here
        lines = ([row.get(field, "") for field in fields] for row in here)
        tables.append(f"## d = {length:,}, K = {CLIENTS}\n\n{table(heads, lines)}")
    report(chosen, "One-time keys", rows, (), tables)


if __name__ == "__main__":
    main()
