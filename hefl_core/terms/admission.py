"""Admission to a round by the signed header alone, before any HE library parses a byte."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hefl_core.errors import IntegrityError, KeyMismatch, RoundError, WireError
from hefl_core.ids import KeyId, looks_like_a_digest
from hefl_core.keys.roster import Roster
from hefl_core.schemes.base import CiphertextVector, PartialDecryption, PublicKey, Scheme
from hefl_core.schemes.registry import load_preset, opened_count
from hefl_core.terms.agreed_sizes import upload_nbytes
from hefl_core.terms.experiment import Manifest
from hefl_core.terms.messages import (
    MAX_ATTEMPTS,
    Commitment,
    CommitmentList,
    DecryptionRequest,
    Objection,
    Receipt,
    RoundPlan,
    read_sum,
    senders,
    sum_digest,
)
from hefl_core.wire.canonical import decode
from hefl_core.wire.envelope import Header, Position, SignedHeader

COUNTS = 2
"""Exact integers in every update: the examples n_k, and 1."""


def check_place(header: Header, *, position: Position, key_id: KeyId, state: bytes, plan: bytes) -> None:
    """Compare a header with the round that it claims.

    Raises: RoundError for another epoch, round, attempt, state or plan; KeyMismatch for another key.
    """
    if header.key_id != str(key_id):
        raise KeyMismatch(
            f"{header.kind} of {header.sender}: expected key {key_id.short}, found another; encrypt again"
        )
    if header.position != position:
        raise RoundError(
            f"{header.kind} of {header.sender}: expected {_spell(position)}, found {_spell(header.position)}; refused as "
            f"{'late or replayed' if _order(header.position) < _order(position) else 'too early'}"
        )
    if header.state != state:
        raise RoundError(
            f"{header.kind} of {header.sender}: expected the state {state.hex()[:12]} after the last round, "
            f"found {header.state.hex()[:12]}; the sender followed another history"
        )
    if header.plan != plan:
        raise RoundError(
            f"{header.kind} of {header.sender}: expected plan {plan.hex()[:12]}, found {header.plan.hex()[:12]}; "
            "the coordinator sent different plans"
        )


class Links:
    """Numbers and chains of other senders' messages. A party receives only some of a sender's, so it checks neighbours only."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[int, Header]] = {}

    def check(self, header: Header) -> None:
        """Check a message against its sender's previous and next one, if they arrived. Raises: IntegrityError."""
        seen, number = self._seen.get(header.sender, {}), header.sequence
        what = f"{header.kind} of {header.sender}"
        if number in seen and seen[number] != header:
            raise IntegrityError(f"{what}: number {number} again, another message; its sender forks its chain")
        before, after = seen.get(number - 1), seen.get(number + 1)
        follows = before is None or header.previous == before.digest
        if not follows or (after is not None and after.previous != header.digest):
            raise IntegrityError(f"{what}: does not follow its sender's previous message; its sender forks its chain")

    def keep(self, header: Header) -> None:
        """Remember a message that was accepted."""
        self._seen.setdefault(header.sender, {})[header.sequence] = header

    def forget(self, before: int) -> None:
        """Drop the messages of rounds earlier than this one."""
        for name, seen in self._seen.items():
            self._seen[name] = {number: one for number, one in seen.items() if one.position.round >= before}


def check_listed(listed: CommitmentList, cohort: Sequence[str], min_cohort: int) -> None:
    """A published list names cohort members, once each, and enough of them. Raises: RoundError."""
    names = listed.senders
    if len(set(names)) != len(names) or not set(names) <= set(cohort):
        raise RoundError(f"commitments: expected distinct members of the cohort, found {', '.join(names)}")
    if len(names) < min_cohort:
        raise RoundError(
            f"commitments: expected at least {min_cohort} (min_cohort), found {len(names)}; wait for more clients"
        )
    if len(listed.commitments) != len(names):
        raise RoundError(f"commitments: {len(names)} headers but {len(listed.commitments)} commitments")


def check_upload(header: Header, listed: CommitmentList) -> Commitment:
    """An upload matches the commitment its sender published. Raises: RoundError when it was not committed."""
    by_sender: Mapping[str, Commitment] = dict(zip(listed.senders, listed.commitments, strict=True))
    commitment = by_sender.get(header.sender)
    if commitment is None:
        raise RoundError(f"update of {header.sender}: no commitment was listed; commit first")
    if header.commitments != listed.digest:
        raise RoundError(
            f"update of {header.sender}: made for another list of commitments; the coordinator equivocates"
        )
    if header.content_digest != commitment.ciphertext_digest or header.content_nbytes != commitment.nbytes:
        raise RoundError(
            f"update of {header.sender}: expected the committed ciphertext {commitment.ciphertext_digest.hex()[:12]}, "
            f"found {header.content_digest.hex()[:12]}; a ciphertext cannot be exchanged after committing"
        )
    return commitment


def check_committed(header: Header, commitment: Commitment, manifest: Manifest) -> None:
    """A commitment is to a ciphertext of the agreed size, in digests that look like digests. Raises: IntegrityError.

    Nobody can compare them with a ciphertext that never comes: a number of the client's own would stay on record.
    """
    least, most = upload_nbytes(manifest.experiment, manifest.parameters, header.position.epoch)
    if not least <= commitment.nbytes <= most:
        raise IntegrityError(
            f"commitment of {header.sender}: expected an upload of {least} to {most} bytes, found {commitment.nbytes}; "
            "preset and model fix it"
        )
    if not all(map(looks_like_a_digest, (commitment.ciphertext_digest, *commitment.spares))):
        raise IntegrityError(f"commitment of {header.sender}: expected SHA-256 digests, found bytes that are none")


def read_ciphertext(content: bytes, header: Header, scheme: Scheme, key: PublicKey) -> CiphertextVector:
    """Decode an admitted upload and let the scheme check it without a secret.

    Raises: WireError, KeyMismatch.
    """
    vector = decode(content, CiphertextVector)
    if (vector.length, len(vector.blocks), vector.terms) != (header.length, header.blocks, 1):
        raise WireError(
            f"update of {header.sender}: the header says d = {header.length} in {header.blocks} blocks, the content "
            f"d = {vector.length} in {len(vector.blocks)} with {vector.terms} terms"
        )
    if str(vector.key_id) != header.key_id:
        raise KeyMismatch(f"update of {header.sender}: header and ciphertext name different keys")
    scheme.check(key, vector)
    return vector


def check_lasting(vector: CiphertextVector, earlier: bytes, scheme: Scheme, sender: str) -> None:
    """A later upload of one round repeats what must last: two bodies of one client tell their difference to the openers.

    ``earlier``: the content of this client's upload in an earlier attempt. Raises: RoundError.
    """
    if scheme.lasting(vector) != scheme.lasting(decode(earlier, CiphertextVector)):
        raise RoundError(
            f"update of {sender}: expected the body of its earlier attempt under a fresh encryption of its key, found a second "
            "body in one round; refuse it"
        )


def check_objection(objection: Objection, published: bytes, listed: CommitmentList) -> None:
    """An objection is to the list that was published, and names clients on it. Raises: IntegrityError."""
    if objection.listed != published:
        raise IntegrityError(
            f"objection: expected it to the list {published.hex()[:12]}, found one to {objection.listed.hex()[:12]}; "
            "the auditor has another list"
        )
    if not objection.lacking or objection.lacking != tuple(n for n in listed.senders if n in objection.lacking):
        raise IntegrityError(
            f"objection: expected some of the listed clients in the list's order, found {', '.join(objection.lacking)[:200]}"
        )


_PART = ("key", "holder", "active set", "number of blocks", "sum")


def read_part(
    content: bytes, header: Header, request: DecryptionRequest, roster: Roster, total: bytes
) -> PartialDecryption:
    """Decode a part and compare its label with its sender, the request and the sum. ``total``: the sum's body.

    A false label can be laid to its sender; false values cannot, they show in the opened sum only. Raises: WireError.
    """
    try:
        part = PartialDecryption.from_bytes(content)
    except WireError as error:
        raise WireError(f"partial of {header.sender}: {error}") from error
    active = tuple(sorted(roster.index(name) for name in request.active))
    summed = read_sum(total).total
    blocks = opened_count(load_preset(summed.key_id.preset), summed.length)
    expected = (header.key_id, roster.index(header.sender), active, blocks, sum_digest(total))
    found = (str(part.key_id), part.index, part.active, len(part.blocks), part.total_digest)
    if wrong := [what for what, a, b in zip(_PART, expected, found, strict=True) if a != b]:
        raise WireError(
            f"partial of {header.sender}: expected that of the sum and the request, found another {wrong[0]}"
        )
    return part


def check_agreed(vector: CiphertextVector, plan: RoundPlan, tagged: bool, what: str) -> None:
    """The label decides how the words are read, so it must be the plan's.

    The auditor confirms blocks, the tag covers words; another ``max_terms`` over the same blocks would be read with
    another step, and give every value a wrong scale. Raises: WireError.
    """
    bound = None if plan.bound is None else float(plan.bound)
    agreed = (plan.length, COUNTS, tagged, bound, plan.max_terms)
    found = (vector.length, vector.integers, vector.tagged, vector.bound, vector.max_terms)
    if agreed != found:
        raise WireError(
            f"{what}: expected (d, integers, tagged, bound, max_terms) = {agreed} as the plan says, found {found}; "
            "refuse it"
        )


def check_spares(signed: SignedHeader, commitment: Commitment, collective: bool) -> None:
    """A spare for each later attempt under collective custody, none otherwise. Raises: RoundError."""
    header = signed.header
    expected = MAX_ATTEMPTS - header.position.attempt if collective else 0
    if len(commitment.spares) != expected:
        raise RoundError(
            f"commitment of {header.sender}: expected {expected} spares, found {len(commitment.spares)}; commit again"
        )


def check_foreseen(signed: SignedHeader, commitment: Commitment, first: CommitmentList) -> None:
    """In a later attempt no client chooses anew: a commitment must be the spare on the round's ``first`` list.

    Uploads may have been seen since. A ciphertext chosen then can contain another client's, and the sum reveals it.
    Raises: RoundError for a newcomer, or for another ciphertext than the spare.
    """
    name, attempt = signed.header.sender, signed.header.position.attempt
    if name not in first.senders:
        raise RoundError(
            f"commitment of {name}: expected one of {', '.join(first.senders)}, on the first list of this round; "
            "uploads may have been seen since: wait for the next round"
        )
    place = first.senders.index(name)
    began = first.listed[place].header.position.attempt
    # spares[0] belongs to the attempt after the one in which this client was first listed.
    if attempt > began and commitment.ciphertext_digest != first.commitments[place].spares[attempt - began - 1]:
        raise RoundError(
            f"commitment of {name}: expected its spare for attempt {attempt}, found "
            f"{commitment.ciphertext_digest.hex()[:12]}; a ciphertext chosen after uploads were seen is refused"
        )


def check_receipts(found: int, need: int, number: int) -> None:
    """A round ends with the receipts of min_cohort clients: fewer may all come from lying clients. Raises: RoundError."""
    if not found:
        raise RoundError(f"round {number}: no client applied the sum; try another attempt")
    if found < need:
        raise RoundError(
            f"round {number}: expected receipts of at least {need} clients (min_cohort), found {found}; the round is not "
            "over: ask the others again"
        )


def check_receipt(receipt: Receipt, sender: str, total: bytes | None, state: Callable[[], bytes]) -> None:
    """A receipt is for the one sum and the one state that it leads to. Raises: RoundError, IntegrityError."""
    if total is None or receipt.sum != total:
        raise RoundError(f"receipt of {sender}: for a sum that was not sent; it closes no round")
    if receipt.state != state():
        raise IntegrityError(f"receipt of {sender}: followed another history")


def check_members(listed: Sequence[str], summed: Sequence[str] | None) -> None:
    """A round has one set of members. ``summed``: those of its first sum, None before there is one.

    The difference of two sums of one round would be the update of the client in only one of them. Raises: IntegrityError.
    """
    if summed is None or set(listed) == set(summed):
        return
    without, added = sorted(set(summed) - set(listed)), sorted(set(listed) - set(summed))
    raise IntegrityError(
        f"commitments: expected the members of this round's first sum ({', '.join(summed)}), found "
        f"{', '.join(listed)} ({', '.join(without) or 'nobody'} left out, {', '.join(added) or 'nobody'} added); "
        "the difference of the two sums would be somebody's update: take part in no other sum of this round"
    )


def check_contributors(updates: Sequence[SignedHeader], listed: CommitmentList) -> None:
    """The sum holds exactly the listed clients, in order: none dropped, doubled or added. Raises: IntegrityError."""
    found = senders(updates)
    if found != listed.senders:
        raise IntegrityError(
            f"sum: expected the {len(listed.senders)} listed updates ({', '.join(listed.senders)}), "
            f"found {len(found)} ({', '.join(found)}); do not decrypt"
        )


def _order(position: Position) -> tuple[int, int, int]:
    return position.epoch, position.round, position.attempt


def _spell(position: Position) -> str:
    return f"epoch {position.epoch}, round {position.round}, attempt {position.attempt}"
