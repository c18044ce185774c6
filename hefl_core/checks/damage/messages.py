"""Benches for single messages: envelopes of every kind, sealed bodies, the KMS's announcements.

Like conversation.py, but without a round around them: a hundred times faster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

from hefl_core.checks.damage.conversation import Tamperer, undisturbed
from hefl_core.checks.damage.outcomes import Bench
from hefl_core.errors import WireError
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, client_name
from hefl_core.keys.custody import Custody
from hefl_core.keys.enrolment import Enrolment
from hefl_core.keys.identity import Identity
from hefl_core.keys.kms.service import KMS as Service
from hefl_core.keys.prekeys import Prekeys
from hefl_core.keys.roster import CLIENT
from hefl_core.keys.sealing import (
    SealingInfo,
    open_body,
    open_sealed,
    pack_share,
    seal,
    seal_body,
    share_info,
    unpack_share,
)
from hefl_core.keys.sum_tag import TagKey
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.terms.experiment import Experiment
from hefl_core.wire.canonical import encode
from hefl_core.wire.envelope import Envelope, check_content

DEALER_FREE = Experiment(
    dataset="breast_cancer",
    model="logistic",
    scheme="INSECURE_bfv-threshold-1024",
    custody="dealer-free:2-of-3",
    clients=3,
    rounds=1,
)
EXPERIMENT = "corruption"
PRESET = "INSECURE_bfv-1024"


def envelopes() -> Bench:
    """One envelope of every kind in a dealer-free run, as its reader checks and opens it."""
    tamperer: Tamperer = undisturbed(DEALER_FREE)
    chosen = {delivery.kind: delivery.envelope for delivery in tamperer.seen}
    names = (KMS, COORDINATOR, AUDITOR, *map(client_name, (1, 2, 3)))
    keys = {name: tamperer.party(name).member.signing for name in names}
    experiment = next(iter(chosen.values())).header.experiment

    def door(data: bytes) -> Any:
        envelope = Envelope.from_bytes(data)
        header = envelope.header
        if header.sender not in keys:
            raise WireError(f"{header.kind}: nobody is called {header.sender!r}")
        reader = header.recipients[0] if header.recipients else ""
        envelope.check(keys[header.sender], experiment=experiment, recipient=reader)
        if not header.sealed or header.kind.startswith("ceremony"):
            return header, envelope.body if not header.sealed else None
        content = tamperer.open(envelope)
        check_content(header, content)
        return header, content

    inputs = tuple(envelope.to_bytes() for envelope in chosen.values())
    return Bench(inputs, door, tuple(door(data) for data in inputs))


def _service() -> tuple[Service, Identity]:
    """A KMS with three clients and an open epoch, and the first client."""
    kms = Service(EXPERIMENT, PRESET, Custody(Quorum(1, 3)))
    identities = [Identity(client_name(number), CLIENT) for number in (1, 2, 3)]
    for identity in (*identities, Identity(COORDINATOR, COORDINATOR)):
        kms.enrol(identity.member)
    for identity in identities:
        kms.deposit(Prekeys(identity, EXPERIMENT).offer(1))
    kms.open_epoch(1, 5)
    return kms, identities[0]


def announcements() -> Bench:
    """Epoch records, keys and audit logs as the KMS announces them, damaged before it signs; a client receives them."""

    def state(enrolment: Enrolment) -> Any:
        return enrolment.record, enrolment.public_key, enrolment.audit_head

    return _of_the_kms("epoch", state)


def rosters() -> Bench:
    """Rosters damaged before the KMS signs them."""
    return _of_the_kms("roster", lambda enrolment: enrolment.roster)


def _of_the_kms(kind: str, state: Callable[[Enrolment], Any]) -> Bench:
    kms, identity = _service()
    roster, epoch = kms.roster_envelope(), kms.epoch_envelope()
    envelope = roster if kind == "roster" else epoch

    def door(data: bytes) -> Any:
        enrolment = Enrolment(identity, EXPERIMENT, kms.member.signing)
        if kind == "epoch":
            enrolment.receive(roster)
        header = replace(envelope.header, content_digest=sha256(data).digest(), content_nbytes=len(data))
        enrolment.receive(Envelope(header, kms._identity.sign(encode(header)), data))  # a lying KMS has its own key
        return state(enrolment)

    return Bench((envelope.body,), door, (door(envelope.body),), unsealed=True)


def sealed_shares() -> Bench:
    """A share and a tag key sealed to one client."""
    scheme = open_scheme(PRESET)
    _, shares = scheme.keygen(Quorum(1, 3))
    share, tag_key, identity = shares[0], TagKey(), Identity(client_name(1), CLIENT)
    client = Prekeys(identity, EXPERIMENT)
    info = share_info(EXPERIMENT, share.id, share.quorum, 1, KMS)
    line = client.offer(1)[0].line(identity.member)
    sealed = tuple(seal(pack_share(share, tag_key), line, info) for _ in range(2))

    def door(data: bytes) -> bytes:
        return sha256(pack_share(*unpack_share(open_sealed(client.key(1), data, info)))).digest()

    return Bench(sealed, door, (sha256(pack_share(share, tag_key)).digest(),) * 2)


def sealed_bodies() -> Bench:
    """A body sealed to two readers."""
    readers = [Identity(name, name) for name in (COORDINATOR, AUDITOR)]
    info = SealingInfo("update", EXPERIMENT, 1, "key", 1, client_name(3))
    content, head = b"a ciphertext" * 99, sha256(b"header").digest()
    body = seal_body(content, [reader.member for reader in readers], info, head)
    return Bench((body,), lambda data: open_body(readers[1], data, info, head), (content,))
