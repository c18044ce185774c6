"""Bytes of a round before it is run: each message is encoded with empty contents and measured.

Digests and signatures are zeros. Ciphertext blocks are counted, not made, since all blocks of a preset have one size
(within a few bytes where SEAL compresses them).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from hefl_core.ids import AUDITOR, COORDINATOR, KeyId, client_name
from hefl_core.keys.sealing import NONCE_BYTES, TAG_BYTES, WRAPPED_BYTES, SealedBody, Wrap
from hefl_core.schemes.base import CiphertextVector, PartialDecryption
from hefl_core.schemes.presets import OneTimePreset, PaillierPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import (
    INTEGERS,
    block_count,
    fresh_nbytes,
    load_preset,
    open_scheme,
    opened_count,
    partial_nbytes,
)
from hefl_core.terms import messages as m
from hefl_core.terms.experiment import Experiment
from hefl_core.terms.messages import (
    Acknowledgement,
    Commitment,
    CommitmentList,
    Confirmation,
    DecryptionRequest,
    EncryptedSum,
    RoundPlan,
)
from hefl_core.wire.canonical import bytes_nbytes, encode, list_head
from hefl_core.wire.envelope import Header, Position, SignedHeader

DIGEST, SIGNATURE, NONCE = bytes(32), bytes(64), bytes(NONCE_BYTES)
EXAMPLES = 1000
"""Stands for any count: two or three bytes on the wire."""


@dataclass(frozen=True, slots=True)
class BlockSizes:
    """Bytes of one block: of a fresh upload, of a sum, of a partial decryption. Measured once per preset."""

    fresh: int
    total: int
    partial: int


@dataclass(frozen=True, slots=True)
class RoundBytes:
    """Bytes on the wire of one round. ``up``, ``down``: the update and everything received, of one client.

    ``first_extra``: what θ_0 adds to the first round's download. ``ciphertext``: blocks of one update alone.
    """

    up: int
    down: int
    first_extra: int
    coordinator_in: int
    coordinator_out: int
    ciphertext: int


@lru_cache(maxsize=64)
def block_sizes(name: str) -> BlockSizes:
    """Encrypt one block under a throw-away key and measure it. Raises: ParameterError."""
    preset, scheme = load_preset(name), open_scheme(name)
    if isinstance(preset, PaillierPreset):
        nbytes = -(-2 * preset.modulus_bits // 8)
        return BlockSizes(nbytes, nbytes, nbytes)
    if isinstance(preset, OneTimePreset):  # of the long part; a sum is as long as its terms
        return BlockSizes(8 * preset.degree, 8 * preset.degree, partial_nbytes(preset))
    quorum = Quorum(2, 2) if preset.collective else Quorum(1, 1)
    key, shares = scheme.keygen(quorum)
    made = [
        scheme.encrypt(shares[0] if preset.symmetric else key, np.zeros(8), max_terms=2, integers=(1, 1))
        for _ in range(2)
    ]
    total = scheme.add(key, *made)
    active = tuple(range(1, quorum.threshold + 1))
    partial = scheme.partial_decrypt(shares[0], total, active)
    return BlockSizes(len(made[0].blocks[-1]), len(total.blocks[-1]), len(partial.blocks[-1]))


def round_bytes(experiment: Experiment, parameters: int) -> RoundBytes:
    """Bytes of a round after the first, of one client and of the coordinator.

    Exact but for SEAL's compression (CKKS, some bytes in ten thousand) and for counters that outgrow one byte.
    Raises: ParameterError.
    """
    return _Scale(experiment, parameters).weigh()


def _blocks(count: int, size: int) -> int:
    """MessagePack bytes of an array of ``count`` byte strings of ``size``."""
    return list_head(count) + count * bytes_nbytes(size)


class _Scale:
    """Measures the messages of one round of one experiment."""

    def __init__(self, experiment: Experiment, parameters: int) -> None:
        self.experiment, self.parameters = experiment, parameters
        self.preset = experiment.preset
        self.clients = tuple(client_name(n) for n in range(1, experiment.clients + 1))
        self.quorum = experiment.quorum
        self.key_id = KeyId(self.preset.family, self.preset.name, 1, "0" * 64)
        self.count = block_count(self.preset, parameters)

    def weigh(self) -> RoundBytes:
        k = len(self.clients)
        fresh = self._vector(terms=1)
        keyless = (COORDINATOR, AUDITOR)
        up = self._envelope(m.UPDATE, "client-1", keyless, self._sealed(keyless, fresh), fresh, sealed=True)
        signed = SignedHeader(self._header(m.UPDATE, "client-1", keyless, fresh, sealed=True), SIGNATURE)
        spares = (DIGEST,) * (m.MAX_ATTEMPTS - 1) if self.quorum.collective else ()
        commitment = len(encode(Commitment(DIGEST, fresh, spares)))
        committed = SignedHeader(self._header(m.COMMITMENT, "client-1", (COORDINATOR,), commitment), SIGNATURE)
        headers = {name: self._renamed(signed, name) for name in self.clients}
        commits = tuple(self._renamed(committed, name) for name in self.clients)
        plan, extra = self._plan()
        listed = len(encode(CommitmentList(commits, (Commitment(DIGEST, fresh, spares),) * k)))
        total = self._sum(tuple(headers.values()))
        confirmed = len(encode(Confirmation(DIGEST, (DIGEST,) * k, (DIGEST,) * self.count)))
        everyone = (AUDITOR, *self.clients)
        to_clients = [
            self._envelope(m.PLAN, COORDINATOR, everyone, plan, plan),
            self._envelope(m.COMMITMENTS, COORDINATOR, everyone, listed, listed),
            self._envelope(m.SUM, COORDINATOR, everyone, total, total),
        ]
        confirmation = self._envelope(m.CONFIRMATION, AUDITOR, (COORDINATOR, *self.clients), confirmed, confirmed)
        acknowledged, request, partials = self._together()
        receipt = len(encode(m.Receipt(DIGEST, DIGEST)))
        inward = (
            k * up
            + k * self._envelope(m.COMMITMENT, "client-1", (COORDINATOR,), commitment, commitment)
            + confirmation
            + k * self._envelope(m.RECEIPT, "client-1", (COORDINATOR, AUDITOR), receipt, receipt)
        )
        return RoundBytes(
            up=up,
            down=sum(to_clients) + confirmation + acknowledged + request + partials,
            first_extra=extra,
            coordinator_in=inward,
            coordinator_out=sum(to_clients) * (k + 1) + request * k,
            ciphertext=self._content_blocks(terms=1),
        )

    # -- ciphertexts -------------------------------------------------------------------------------------------

    def _block_list(self, terms: int) -> int:
        if self.preset.family == "plaintext":
            width = 4 if terms == 1 else 8
            sizes = (8 * INTEGERS, width * self.parameters)
            return list_head(2) + sum(map(bytes_nbytes, sizes))
        if isinstance(self.preset, OneTimePreset):
            return list_head(self.count) + sum(map(bytes_nbytes, self._one_time))
        sizes_ = block_sizes(self.preset.name)
        return _blocks(self.count, sizes_.fresh if terms == 1 else sizes_.total)

    def _content_blocks(self, terms: int) -> int:
        if self.preset.family == "plaintext":
            return 8 * INTEGERS + 4 * self.parameters
        if isinstance(self.preset, OneTimePreset):
            return sum(self._one_time)
        return self.count * block_sizes(self.preset.name).fresh

    @property
    def _one_time(self) -> tuple[int, ...]:
        """Sizes of the short block and of each long one."""
        return tuple(most for _, most in fresh_nbytes(self.preset, self.parameters, self.quorum))

    def _vector(self, terms: int) -> int:
        bound = self.experiment.declared_bound
        empty = CiphertextVector(
            self.key_id, self.parameters, INTEGERS, self.preset.tagged, bound, len(self.clients), terms, ()
        )
        return len(encode(empty)) - list_head(0) + self._block_list(terms)

    def _sum(self, headers: tuple[SignedHeader, ...]) -> int:
        vector = CiphertextVector(self.key_id, 1, INTEGERS, False, None, 1, 1, ())
        empty = len(encode(EncryptedSum(vector, headers))) - len(encode(vector))
        return empty + self._vector(terms=len(headers))

    def _together(self) -> tuple[int, int, int]:
        """What one client receives only under collective custody: acknowledgement, request, all partial decryptions."""
        if not self.quorum.collective:
            return 0, 0, 0
        active = self.clients[: self.quorum.threshold]
        asked = len(encode(DecryptionRequest(active, DIGEST, DIGEST)))
        indices = tuple(range(1, self.quorum.threshold + 1))
        empty = len(encode(PartialDecryption(self.key_id, 1, indices, DIGEST, ())))
        content = (
            empty
            - list_head(0)
            + _blocks(opened_count(self.preset, self.parameters), block_sizes(self.preset.name).partial)
        )
        body = self._sealed(self.clients, content)
        one = self._envelope(m.PARTIAL, "client-1", self.clients, body, content, sealed=True)
        told = len(encode(Acknowledgement(DIGEST)))
        return (
            self._envelope(m.ACKNOWLEDGEMENT, AUDITOR, self.clients, told, told),
            self._envelope(m.REQUEST, COORDINATOR, self.clients, asked, asked),
            one * len(active),
        )

    # -- envelopes ---------------------------------------------------------------------------------------------

    def _plan(self) -> tuple[int, int]:
        e = self.experiment
        plan = RoundPlan(
            DIGEST, DIGEST, self.clients, e.cohort_floor, e.declared_bound, len(self.clients), EXAMPLES,
            self.parameters, None,
        )  # fmt: skip
        theta = 4 * self.parameters
        first_words = len(DIGEST) * (
            len(self.clients) + 3
        )  # nothing to refer back to: plan (twice), commitments, confirmation
        # - 1: θ_0 takes the place of a nil, which is one byte.
        return len(encode(plan)), bytes_nbytes(theta) - 1 - first_words

    def _sealed(self, readers: Sequence[str], content: int) -> int:
        wraps = tuple(Wrap(name, bytes(WRAPPED_BYTES)) for name in readers)
        empty = len(encode(SealedBody(wraps, NONCE, b""))) - bytes_nbytes(0)
        return empty + bytes_nbytes(content + TAG_BYTES)

    def _header(self, kind: str, sender: str, to: Sequence[str], content: int, *, sealed: bool = False) -> Header:
        of_list = kind in (m.COMMITMENTS, m.UPDATE, m.SUM, m.REQUEST)
        return Header(
            kind=kind,
            experiment="0" * 64,
            position=Position(1, 2, 1),
            key_id=str(self.key_id),
            sender=sender,
            recipients=tuple(to),
            sequence=9,
            previous=DIGEST,
            plan=b"" if kind == m.PLAN else DIGEST,
            state=DIGEST,
            commitments=DIGEST if of_list else b"",
            length=self.parameters,
            blocks=self.count if kind in (m.UPDATE, m.SUM, m.CONFIRMATION) else 0,
            content_nbytes=content,
            content_digest=DIGEST,
            sealed=sealed,
        )

    def _envelope(
        self, kind: str, sender: str, to: Sequence[str], body: int, content: int, *, sealed: bool = False
    ) -> int:
        return len(encode(self._header(kind, sender, to, content, sealed=sealed))) + len(SIGNATURE) + body

    @staticmethod
    def _renamed(signed: SignedHeader, name: str) -> SignedHeader:
        return replace(signed, header=replace(signed.header, sender=name))
