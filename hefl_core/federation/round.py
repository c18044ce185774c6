"""The protocol, written once. A round is a conversation; this generator yields every message as it is sent.

A notebook loops over it, a test calls ``list``, the application's runner drains it into the transcript.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hefl_core.federation.auditor import Auditor
from hefl_core.federation.client import Client
from hefl_core.federation.coordinator import Coordinator
from hefl_core.federation.post import Post
from hefl_core.federation.record.transcript import Sent
from hefl_core.keys.kms.service import KMS
from hefl_core.wire.envelope import Position


@dataclass(frozen=True)
class Parties:
    """The parties of a run: objects, or stand-ins with the same methods for parties in other processes."""

    kms: KMS
    coordinator: Coordinator
    auditor: Auditor
    clients: tuple[Client, ...]
    collective: bool
    dealer_free: bool


# The comments are the protocol; they stand in a column of their own.
# fmt: off
def federated_round(position: Position, parties: Parties, post: Post) -> Iterator[Sent]:
    """One round of FedAvg (McMahan 2017) summed under encryption (Phong 2018). Yields every message as it is sent."""
    coordinator, auditor, clients = parties.coordinator, parties.auditor, parties.clients
    plan = coordinator.plan(position)                                             # cohort, key id, bound; θ_0 in round 1
    yield post.send(plan, coordinator, to=[auditor, *clients])
    asked = post.reliable(clients, position)                                      # not those that failed in an earlier attempt
    for client, commitment in post.each(asked, "commit", position):               # train; Δ_k; encrypt; only the digest leaves
        yield post.send(commitment, client, to=[coordinator])
    listed = coordinator.commitments(position)                                    # those who arrived in time, in order
    yield post.send(listed, coordinator, to=[auditor, *clients])
    if parties.collective:
        acknowledged = auditor.acknowledge(position)                              # it has this list: now nobody chooses any more
        yield post.send(acknowledged, auditor, to=clients)
    for client, update in post.each(asked, "upload", position):                   # Enc_pk([n_k, 1, tag, w_k·Δ_k])
        yield post.send(update, client, to=[coordinator, auditor])                # sealed to these two
    for _, objection in post.each([auditor], "objection", position):              # only where it lacks an update, or cannot read it
        yield post.send(objection, auditor, to=[coordinator])
        post.end_attempt(objection)                                               # before a sum fixes the members
    total = coordinator.aggregate(position)                                       # ⊞_k, with the public key alone
    yield post.send(total, coordinator, to=[auditor, *clients])
    confirmation = auditor.confirm(position)                                      # re-added without a key: the same bytes
    yield post.send(confirmation, auditor, to=[coordinator, *clients])
    if parties.collective:
        for holder, ready in post.each(asked, "ready", position):                 # who is there, and has seen the confirmation
            yield post.send(ready, holder, to=[coordinator])
        request = coordinator.request_decryption(position)                        # names the active set, once
        yield post.send(request, coordinator, to=clients)
        named = post.named(request, clients)
        for holder, partial in post.each(named, "partial_decryption", position, of=clients):
            yield post.send(partial, holder, to=clients)                          # flooded, sealed to the clients
        post.check_parts(named, clients, position)                                # all are there, and can be opened
    yield from end_of_round(position, parties, post)


def end_of_round(position: Position, parties: Parties, post: Post) -> Iterator[Sent]:
    """The last step, repeated when too few clients gave a receipt: a sum that one client applied is final for all."""
    coordinator, auditor, clients = parties.coordinator, parties.auditor, parties.clients
    post.hand_over(clients)                                                       # who was away gets what it missed
    for client, receipt in post.each(clients, "apply", position):                 # θ ← θ + Σ w_k Δ_k / Σ w_k, at the clients only
        yield post.send(receipt, client, to=[coordinator, auditor])
    post.close([coordinator, auditor], position)                                  # it takes receipts of min_cohort clients
