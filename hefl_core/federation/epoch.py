"""Step 0: the opening of a key epoch, with a key dealt by the KMS or made by the clients without a dealer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hefl_core.errors import HeflError, IntegrityError, KeyNotActive, RuntimeUnavailable
from hefl_core.federation.post import Post
from hefl_core.federation.record.transcript import Sent
from hefl_core.federation.round import Parties
from hefl_core.keys.ceremony import STEPS
from hefl_core.keys.ceremony_result import APPROVAL_KIND, CeremonyResult
from hefl_core.keys.epochs import EpochState
from hefl_core.schemes.base import PublicKey
from hefl_core.terms.letter import Letter
from hefl_core.wire.envelope import Envelope, Position, SignedHeader


def key_epoch(first_round: int, last_round: int, parties: Parties, post: Post) -> Iterator[Sent]:
    """Open the first epoch, or rotate to the next: roster, (ceremony,) record and public key, sealed shares of a dealt key.

    ``parties``: all parties of the run; the roster lists those that take part now. The call may be repeated after a dropout.

    Yields every message as it is sent. Only members of the new roster receive the new key; revoked clients do not.
    """
    kms = parties.kms
    made = any(epoch.state is EpochState.ACTIVE and epoch.first_round == first_round for epoch in kms.epochs)
    without = () if made else _gather_sealing_keys(parties, post)
    if parties.dealer_free and not made:
        roster = kms.begin_ceremony(first_round, last_round)
        members = _members(parties, roster.header.recipients)
        yield post.send(Letter.of(roster), kms, to=members)
        _note_left_out(roster, without, post)
        yield from _make_together(Position(roster.header.position.epoch, 0), members, parties, post)
    else:
        if not made:
            kms.open_epoch(first_round, last_round) if first_round == 1 else kms.rotate(first_round, last_round)
        roster = kms.roster_envelope()
        members = _members(parties, roster.header.recipients)
        yield post.send(Letter.of(roster), kms, to=members)
        _note_left_out(roster, without, post)
    yield post.send(Letter.of(kms.epoch_envelope()), kms, to=members)
    epoch = roster.header.position.epoch
    for client in () if parties.dealer_free else _clients(members, parties):
        yield post.send(Letter.of(kms.share_envelope(client.name, epoch)), kms, to=[client])


def _gather_sealing_keys(parties: Parties, post: Post) -> tuple[str, ...]:
    """Deposit sealing keys, each signed by its client, for clients that run short of them.

    A client with none left that cannot be reached is left out of the epoch; its failure is on record. Returns: the clients
    that are still short of keys and have no refusal on record yet.
    """
    kms = parties.kms
    first, short, noted = len(kms.epochs) + 1, kms.clients_to_ask(), set[str]()
    asked = [client for client in parties.clients if client.name in short]
    for client, prekeys in post.each(asked, "sealing_keys", Position(first, 0), first):
        try:
            kms.deposit(prekeys)
        except RuntimeUnavailable:
            raise
        except HeflError as error:
            post.note(client.name, "sealing_keys", Position(first, 0), error)
            noted.add(client.name)
    still = kms.clients_to_ask() if short else ()
    return tuple(name for name in still if name not in noted and name not in post.absent)


def _note_left_out(roster: Envelope, without: Sequence[str], post: Post) -> None:
    """Record each client that answered but is not in the roster because its keys did not reach the KMS."""
    header = roster.header
    for name in without:
        if name not in header.recipients:
            told = (
                f"epoch {header.position.epoch}: no sealing key of {name} reached the KMS; it is left out of the roster"
            )
            post.note(name, "sealing_keys", header.position, KeyNotActive(told))


def _make_together(position: Position, members: Sequence[Any], parties: Parties, post: Post) -> Iterator[Sent]:
    """The dealer-free ceremony (keys/ceremony.py), message by message; the KMS registers what all approved.

    Raises: IntegrityError when a client does not answer: a key made without all clients is not used.
    """
    clients = _clients(members, parties)
    approvals: list[SignedHeader] = []
    for step in STEPS:
        said = list(post.each(clients, "ceremony", position, step))
        if len(said) < len(clients):
            reasons = "; ".join(f"{name}: {reason}" for name, reason in post.absent.items())
            raise IntegrityError(f"ceremony {step}: expected all {len(clients)} clients, found {len(said)} ({reasons})")
        for client, letters in said:
            for letter in letters:
                header = letter.envelope.header
                to = [party for party in (parties.kms, *clients) if party.name in header.recipients]
                yield post.send(letter, client, to=to)
                if header.kind == APPROVAL_KIND:
                    approvals.append(letter.envelope.signed_header)
    key, result = _made(clients)
    parties.kms.register(key, result, approvals)


def _made(clients: Sequence[Any]) -> tuple[PublicKey, CeremonyResult]:
    """The approved key and result, from the first client that still has them. Raises: RuntimeUnavailable when none has."""
    for client in clients:
        try:
            return client.ceremony_key(), client.ceremony_result()
        except RuntimeUnavailable as error:
            lost = error
    raise lost


def _members(parties: Parties, names: Sequence[str]) -> list[Any]:
    return [party for party in (parties.coordinator, parties.auditor, *parties.clients) if party.name in names]


def _clients(members: Sequence[Any], parties: Parties) -> list[Any]:
    names = {client.name for client in parties.clients}
    return [member for member in members if member.name in names]
