"""A key that nobody ever holds: n clients make it together, and t of them decrypt.

    nonce      commit to ν_i, then reveal it          a = XOF(H(experiment, epoch, preset, quorum, roster, ν_1 … ν_n))
    key        commit to b_i = e_i - a·s_i, reveal    b = Σ b_i, public key (b, a); no client can choose it last
    deal       f_i(j), ρ_i to client j, sealed        f_i(0) = s_i, degree t - 1; client j's share is Σ_i f_i(j)
                                                      the clients' tag key is H(ρ_1 … ρ_n)
    test       commit to Enc(v), reveal; partials     every share takes part in one sum of known v; all must open right
    approval   everybody signs the same result        the KMS registers the public key, and knows nothing else

Every message is signed; deals and partials are sealed. A client goes on only when everybody's message of the step before
is there, so the commitments stand before anything is revealed: the last to speak cannot steer a, b or a test's c1.

What it does not do: sharing is not verifiable and nothing proves that a b_i or a ciphertext is well formed. It holds
against fewer than t *semi-honest* holders, even with the coordinator and the KMS. A party that deviates can make the
ceremony fail, and is not named; points that cancel in every tested set pass, and another set opens sums wrong. A client that
deviates later reads the key (`attack delta`).

Source: Mouchet et al. 2021 (multiparty RLWE), Shamir 1979 for the re-sharing; figures and attacks in docs/sharp_edges.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import numpy as np

from hefl_core.errors import IntegrityError, ParameterError, RoundError, WireError
from hefl_core.ids import KMS, digest
from hefl_core.keys.ceremony_result import APPROVAL_KIND, PREFIX, CeremonyResult
from hefl_core.keys.decryption_policy import mask_digests
from hefl_core.keys.epochs import public_key_digest
from hefl_core.keys.identity import Identity, Reader
from hefl_core.keys.roster import Roster
from hefl_core.keys.sealing import SealingInfo, open_envelope, sealer
from hefl_core.keys.secret import Hidden, SecretBytes
from hefl_core.keys.sum_tag import KEY_BYTES, TagKey, joint_tag_key, tag_key_digest
from hefl_core.schemes.base import (
    CiphertextVector,
    PartialDecryption,
    PublicKey,
    Scheme,
    SecretShare,
    Vector,
)
from hefl_core.schemes.quorum import Quorum
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Envelope, Position
from hefl_core.wire.limits import MAX_MESSAGE_BYTES
from hefl_core.wire.outbox import Outbox

T = TypeVar("T")
NONCE_BYTES: Final = 32
COMMITMENT, REVEAL = "commitment", "reveal"
NONCE, KEY, DEAL, TEST, PARTIAL, APPROVAL = "nonce", "key", "deal", "test", "partial", "approval"
STEPS: Final = (
    f"{NONCE} {COMMITMENT}",
    f"{NONCE} {REVEAL}",
    f"{KEY} {COMMITMENT}",
    f"{KEY} {REVEAL}",
    DEAL,
    f"{TEST} {COMMITMENT}",
    f"{TEST} {REVEAL}",
    PARTIAL,
    APPROVAL,
)
"""In this order; each client sends its message of every step."""

assert PREFIX + APPROVAL == APPROVAL_KIND


def message_count(clients: int) -> int:
    """Messages of one ceremony: one per client and step, and a deal from each client to every other.

    >>> message_count(5)
    60
    """
    return clients * (len(STEPS) - 1) + clients * (clients - 1)


class DealerFreeScheme(Scheme, Protocol):
    """What a scheme offers besides :class:`Scheme` so that a key can be made without a dealer."""

    def joint_contribution(self, seed: bytes) -> tuple[bytes, bytes]:
        """Fresh (s_i, b_i) with b_i = e_i - a(seed)·s_i. The first is secret."""

    def joint_public_key(self, seed: bytes, parts: Sequence[bytes], quorum: Quorum, *, epoch: int = 1) -> PublicKey:
        """The public key (Σ b_i, a(seed)). Raises: WireError for a part that is no ring element."""

    def joint_deal(self, secret: bytes, quorum: Quorum, index: int) -> tuple[bytes, ...]:
        """Shamir shares of s_i for the holders 1..n."""

    def joint_share(self, key: PublicKey, index: int, dealt: Sequence[bytes]) -> SecretShare:
        """Holder ``index``'s share: the sum of what everybody dealt to it. Raises: WireError for no ring element."""


@dataclass(frozen=True, slots=True)
class Reveal:
    """What was committed to: ``salt`` keeps short contents from being guessed."""

    salt: bytes
    content: bytes


@dataclass(frozen=True, slots=True)
class Dealt:
    """What one client deals to another, sealed: a point of its polynomial, and its part of the tag key (the same to all)."""

    point: bytes
    tag_part: bytes


def commitment(step: str, name: str, reveal: Reveal) -> bytes:
    """The digest that stands for a reveal until everybody has committed."""
    # The name is hashed in: a client that copies another's commitment cannot open the copy as its own.
    return digest(b"hefl/ceremony/commitment", step.encode(), name.encode(), reveal.salt, reveal.content)


class Participant(Hidden):
    """One client in a ceremony. ``reader`` opens what is sealed to it in this epoch; ``outbox`` signs its messages (a new
    one unless the party has one).
    """

    def __init__(
        self,
        identity: Identity,
        roster: Roster,
        scheme: DealerFreeScheme,
        quorum: Quorum,
        reader: Reader,
        *,
        outbox: Outbox | None = None,
    ) -> None:
        if quorum.holders != len(roster.clients) or not quorum.collective:
            raise ParameterError(
                f"ceremony: expected a quorum t > 1 of {len(roster.clients)} clients, found {quorum}",
                "choose 'dealer-free:T-of-N' with N clients",
            )
        if not hasattr(scheme, "joint_contribution"):
            raise ParameterError(
                f"ceremony: {scheme.preset.name} cannot be made without a dealer",
                "choose bfv-threshold or ckks-threshold, or custody 'T-of-N' with the KMS as dealer",
            )
        self.identity, self.roster, self.quorum = identity, roster, quorum
        self.index = roster.index(identity.name)
        self._public_key: PublicKey | None = None
        self._scheme = scheme
        self._reader = reader
        self._outbox = outbox or Outbox(identity.name, identity, roster.experiment)
        self._said: dict[str, tuple[Envelope, ...]] = {}
        self._heard: dict[str, dict[str, bytes]] = {step: {} for step in STEPS}
        self._headers: dict[tuple[str, str], bytes] = {}
        self._reveals: dict[str, Reveal] = {}
        self._secret: SecretBytes | None = None
        self._dealt: dict[str, SecretBytes] = {}
        self._share: SecretShare | None = None
        self._tag_key: TagKey | None = None
        self._result: CeremonyResult | None = None

    def _label(self) -> str:
        return f"{self.name}, {self.quorum}, epoch {self.roster.epoch}"

    @property
    def name(self) -> str:
        """Party name."""
        return self.identity.name

    # -- sending and receiving -----------------------------------------------------------------------------------

    def say(self, step: str) -> tuple[Envelope, ...]:
        """This client's message(s) of a step; asking again brings the same bytes.

        Leaks: to everybody: commitments, ν_i, b_i, known test ciphertexts. Deals and partials are sealed.
        Raises: RoundError while a message of the step before is missing; IntegrityError when the self-test fails.
        """
        if step not in self._said:
            self._require_all_before(step)
            what, _, half = step.partition(" ")
            if half == COMMITMENT:
                self._reveals[what] = Reveal(os.urandom(NONCE_BYTES), self._content(what))
                self._said[step] = (self._to_all(step, commitment(what, self.name, self._reveals[what])),)
            elif half == REVEAL:
                self._said[step] = (self._to_all(step, encode(self._reveals[what])),)
            elif what == DEAL:
                self._said[step] = self._deals()
            elif what == PARTIAL:
                self._said[step] = (self._to_all(step, encode(self._partials()), sealed=True),)
            else:
                self._said[step] = (self._to_all(step, encode(self.result()), kms=True),)
        return self._said[step]

    def receive(self, envelope: Envelope) -> None:
        """Check another client's message and keep it.

        Raises: WireError for bytes, signature or a reveal that was not committed to; RoundError for a step out of order
            or a second, different message; IntegrityError for an approval of another result.
        """
        header = envelope.header
        step = header.kind.removeprefix(PREFIX)
        if step not in STEPS or header.kind == step or header.sender not in self.roster.clients:
            raise RoundError(
                f"ceremony: expected a step of a client, found {header.kind[:40]!r} of {header.sender[:40]}"
            )
        envelope.check(
            self.roster.member(header.sender).signing,
            experiment=self.roster.experiment,
            recipient=self.name,
            limit=MAX_MESSAGE_BYTES,
        )
        if header.position != self._position:
            raise RoundError(
                f"ceremony: expected epoch {self.roster.epoch}, found {header.position}; another ceremony's"
            )
        # Checked on arrival too: a reveal seen before every commitment would let its receiver choose its own after it.
        self._require_all_before(step)
        content = envelope.body
        if header.sealed:
            content = open_envelope(self._reader, envelope, self._info(step, header.sender, self.index))
        elif step in (DEAL, PARTIAL):
            raise WireError(
                f"ceremony {step} of {header.sender}: expected it sealed, found it in the open; start again"
            )
        self._keep(step, header.sender, content, header.digest)

    def _keep(self, step: str, sender: str, content: bytes, header: bytes) -> None:
        if step == DEAL:
            content = self._set_aside(sender, content)
        known = self._heard[step].get(sender), self._headers.get((step, sender))
        if known not in ((None, None), (content, header)):
            raise RoundError(f"ceremony {step} of {sender}: a second, different one; start again without it")
        what, _, half = step.partition(" ")
        if half == COMMITMENT and len(content) != NONCE_BYTES:
            raise WireError(f"ceremony {step} of {sender}: expected {NONCE_BYTES} bytes, found {len(content)}")
        if half == REVEAL:
            revealed = decode(content, Reveal)
            if commitment(what, sender, revealed) != self._heard[f"{what} {COMMITMENT}"][sender]:
                raise WireError(f"ceremony {what} of {sender}: not what it committed to; start again without it")
        if step == APPROVAL and decode(content, CeremonyResult) != self.result():
            raise IntegrityError(
                f"ceremony: {sender} approves another result than {self.name}; nobody may use this key"
            )
        self._heard[step][sender] = content
        self._headers[step, sender] = header

    def _set_aside(self, sender: str, content: bytes) -> bytes:
        """Keep a dealt point hidden until the share is made of it; its digest stands for it."""
        if len(decode(content, Dealt).tag_part) != KEY_BYTES:
            raise WireError(
                f"ceremony deal of {sender}: expected {KEY_BYTES} bytes for the tag key; start again without it"
            )
        if self._share is None:
            self._dealt.setdefault(sender, SecretBytes(content))
        return digest(b"hefl/ceremony/deal", content)

    def _require_all_before(self, step: str) -> None:
        place = STEPS.index(step)
        if place == 0:
            return
        missing = [name for name in self.roster.clients if name not in self._heard[STEPS[place - 1]]]
        if missing:
            raise RoundError(f"ceremony {step}: the {STEPS[place - 1]} of {', '.join(missing)} is missing; wait for it")

    @property
    def _position(self) -> Position:
        return Position(self.roster.epoch, 0)

    def _info(self, step: str, sender: str, index: int) -> SealingInfo:
        return SealingInfo(
            purpose=PREFIX + step,
            experiment=self.roster.experiment,
            epoch=self.roster.epoch,
            key_id=str(self._key().id),
            round=0,
            sender=sender,
            share_index=index if step == DEAL else 0,
            threshold=self.quorum.threshold,
            holders=self.quorum.holders,
        )

    def _to_all(self, step: str, content: bytes, *, sealed: bool = False, kms: bool = False) -> Envelope:
        others = [name for name in self.roster.clients if name != self.name]
        readers = [self.roster.member(name) for name in others]
        seal = sealer(readers, self._info(step, self.name, 0)) if sealed else None
        recipients = (*((KMS,) if kms else ()), *others)
        envelope = self._outbox.compose(PREFIX + step, self._position, recipients, content, seal=seal)
        self._keep(step, self.name, content, envelope.header.digest)
        return envelope

    # -- contents of messages ------------------------------------------------------------------------------------------

    def _content(self, what: str) -> bytes:
        """What this client commits to, and reveals after everybody has committed."""
        if what == NONCE:
            return os.urandom(NONCE_BYTES)
        if what == KEY:
            secret, public = self._scheme.joint_contribution(self._seed())
            self._secret = SecretBytes(secret)
            return public
        dealt = [decode(self._dealt.pop(name).expose(), Dealt) for name in self.roster.clients]
        self._share = self._scheme.joint_share(self._key(), self.index, [one.point for one in dealt])
        self._tag_key = joint_tag_key([one.tag_part for one in dealt])
        # One fresh ciphertext per active set: two active sets on one c1 would leak a share.
        return encode([self._scheme.encrypt(self._key(), v, max_terms=self.quorum.holders) for v in self._known()])

    def _in_order(self, step: str) -> list[bytes]:
        return [self._heard[step][name] for name in self.roster.clients]

    def _revealed(self, what: str) -> list[bytes]:
        return [decode(content, Reveal).content for content in self._in_order(f"{what} {REVEAL}")]

    def _seed(self) -> bytes:
        place = (self.roster.experiment, self.roster.epoch, self._scheme.preset.name, self.quorum)
        return digest(b"hefl/ceremony/seed", encode(place), self.roster.digest, *self._revealed(NONCE))

    @property
    def joint_key(self) -> PublicKey:
        """The public key that everybody made. Raises: RoundError before all contributions are revealed."""
        self._require_all_before(DEAL)
        return self._key()

    def _key(self) -> PublicKey:
        if self._public_key is None:
            parts = self._revealed(KEY)
            self._public_key = self._scheme.joint_public_key(self._seed(), parts, self.quorum, epoch=self.roster.epoch)
        return self._public_key

    def _deals(self) -> tuple[Envelope, ...]:
        """One sealed point of f_i, and ρ_i, to each other client; both are forgotten afterwards."""
        if self._secret is None:
            raise RoundError("ceremony deal: expected a contribution of this client's own; start again")
        dealt = self._scheme.joint_deal(self._secret.expose(), self.quorum, self.index)
        self._secret = None
        envelopes, tag_part = [], os.urandom(KEY_BYTES)
        for name, point in zip(self.roster.clients, dealt, strict=True):
            content = encode(Dealt(point, tag_part))
            if name == self.name:
                self._keep(DEAL, self.name, content, b"")
                continue
            info = self._info(DEAL, self.name, self.roster.index(name))
            seal = sealer([self.roster.member(name)], info)
            envelopes.append(self._outbox.compose(PREFIX + DEAL, self._position, (name,), content, seal=seal))
        return tuple(envelopes)

    # -- the self-test --------------------------------------------------------------------------------------------

    def _sets(self) -> list[tuple[int, ...]]:
        """Active sets of t that together contain every holder."""
        t, n = self.quorum.threshold, self.quorum.holders
        return [tuple(sorted((start + i) % n + 1 for i in range(t))) for start in range(0, n, t)]

    def _known(self) -> list[Vector]:
        bound = self._scheme.preset.default_bound
        return [np.array([bound, -bound / 2, 0.0, bound / (k + 2)]) for k in range(len(self._sets()))]

    def _sums(self) -> list[CiphertextVector]:
        """The test sums of all clients' ciphertexts; this client's is in each, committed to like the others."""
        lists = [decode(content, list[CiphertextVector]) for content in self._revealed(TEST)]
        if any(len(one) != len(self._sets()) for one in lists):
            raise WireError(f"ceremony test: expected {len(self._sets())} ciphertexts of each client; start again")
        sums = []
        for k in range(len(self._sets())):
            running = self._scheme.accumulator(self._key())
            for one in lists:
                self._scheme.check(self._key(), one[k])
                running.add(one[k])
            sums.append(running.total())
        return sums

    def _partials(self) -> list[PartialDecryption]:
        if self._share is None:
            raise RoundError("ceremony partial: expected a share of this client's own; start again")
        sets_ = self._sets()
        pairs = zip(self._sums(), sets_, strict=True)
        return [self._scheme.partial_decrypt(self._share, s, active) for s, active in pairs if self.index in active]

    def _self_test(self) -> None:
        """Every sum of known vectors must open to the known total. Raises: IntegrityError."""
        partials = [p for content in self._in_order(PARTIAL) for p in decode(content, list[PartialDecryption])]
        n = self.quorum.holders
        for total, active, known in zip(self._sums(), self._sets(), self._known(), strict=True):
            mine = [p for p in partials if p.active == active]
            opened = self._scheme.combine(self._key(), total, mine)
            error = float(np.max(np.abs(opened - n * known)))
            allowed = self._scheme.sum_error(self._scheme.preset.default_bound, n, n)
            if not error <= allowed:  # not `error > allowed`: a NaN has to fail
                raise IntegrityError(
                    f"ceremony: the self-test of holders {active} is off by {error:.3g}, expected at most {allowed:.3g}; "
                    "somebody dealt wrong shares: start again"
                )

    # -- the end --------------------------------------------------------------------------------------------------

    @property
    def self_tests(self) -> int:
        """How many ciphertexts this client's share answered in the self-test: they count against the cap."""
        mine = decode(self._reveals[TEST].content, list[CiphertextVector])
        return sum(
            len(mask_digests(self._scheme, one))
            for one, active in zip(mine, self._sets(), strict=True)
            if self.index in active
        )

    def result(self) -> CeremonyResult:
        """What this client approves, after the self-test. Raises: RoundError before the partials are in; IntegrityError."""
        if self._result is not None:
            return self._result
        self._require_all_before(APPROVAL)
        self._self_test()
        steps = STEPS[: STEPS.index(APPROVAL)]
        # Deals are left out: no client sees those between two others, so all could not sign one digest of them.
        headers = [self._headers[step, name] for step in steps if step != DEAL for name in self.roster.clients]
        self._result = CeremonyResult(
            experiment=self.roster.experiment,
            epoch=self.roster.epoch,
            preset=self._scheme.preset.name,
            quorum=self.quorum,
            public_key_digest=public_key_digest(self._key()),
            transcript=digest(b"hefl/ceremony/transcript", *headers),
            tag_key_digest=tag_key_digest(self._made(self._tag_key)),
        )
        return self._result

    def share(self) -> SecretShare:
        """This client's share, once it approves. It is used only after the record came with every client's approval.

        Raises: as :meth:`result`.
        """
        self.result()
        return self._made(self._share)

    def tag_key(self) -> TagKey:
        """The clients' tag key, the same at each client: its digest is in the result. Raises: as :meth:`result`."""
        self.result()
        return self._made(self._tag_key)

    @staticmethod
    def _made(secret: T | None) -> T:
        if secret is None:
            raise RoundError("ceremony: expected a share and tag key of this client's own; start again")
        return secret


def conduct(participants: Sequence[Participant]) -> Iterator[Envelope]:
    """Run a ceremony among parties of this process. Yields every message as it is sent."""
    for step in STEPS:
        for participant in participants:
            for envelope in participant.say(step):
                yield envelope
                for receiver in participants:
                    if receiver.name in envelope.header.recipients:
                        receiver.receive(envelope)
