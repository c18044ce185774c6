"""A key that no dealer made: n parties reach it, anybody encrypts under it, t of them decrypt, and none of them holds it."""

from __future__ import annotations

import itertools
from hashlib import shake_256

import numpy as np
import pytest

from hefl_core.errors import IntegrityError, ParameterError, WireError
from hefl_core.keys.ceremony import Participant, conduct
from hefl_core.keys.identity import Identity
from hefl_core.schemes.base import expose_secret
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import joint, pairwise, rlwe, seal, shamir
from tests.keys.world import roster_of

RNG = np.random.default_rng(3)
SEED = bytes(range(32))
SMALL = ("INSECURE_bfv-threshold-1024", "INSECURE_ckks-threshold-1024")
SHIPPED = ("bfv-threshold", "bfv-threshold-classroom", "bfv-threshold-small", "bfv-threshold-strict", "ckks-threshold")


class Together:
    """n parties after the ceremony's algebra. ``secrets`` is everybody's s_i: a test may look, a party may not."""

    def __init__(self, name, quorum):
        self.scheme = open_scheme(name)
        contributions = [self.scheme.joint_contribution(SEED) for _ in range(quorum.holders)]
        self.secrets = [secret for secret, _ in contributions]
        self.key = self.scheme.joint_public_key(SEED, [part for _, part in contributions], quorum)
        self.dealt = [self.scheme.joint_deal(secret, quorum, i) for i, secret in enumerate(self.secrets, 1)]
        self.shares = [
            self.scheme.joint_share(self.key, j, [row[j - 1] for row in self.dealt])
            for j in range(1, quorum.holders + 1)
        ]

    def open(self, vectors, active):
        running = self.scheme.accumulator(self.key)
        for x in vectors:
            running.add(self.scheme.encrypt(self.key, x, bound=1.0, integers=(1,)))
        total = running.total()
        return self.scheme.open(
            self.key, total, [self.scheme.partial_decrypt(self.shares[i - 1], total, active) for i in active]
        )


@pytest.fixture(scope="module", params=SMALL)
def together(request):
    return Together(request.param, Quorum(3, 5))


def test_every_active_set_opens(together):
    vectors = [RNG.uniform(-1, 1, 700) for _ in range(5)]
    for active in itertools.combinations(range(1, 6), 3):
        opened = together.open(vectors, active)
        assert opened.integers == (5,)
        assert np.max(np.abs(opened.values - sum(vectors))) <= together.scheme.sum_error(1.0, 5, 16)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_presets(name):
    together = Together(name, Quorum(2, 3))
    vectors = [RNG.uniform(-1, 1, 300) for _ in range(3)]
    worst = float(np.max(np.abs(together.open(vectors, (1, 3)).values - sum(vectors))))
    print(f"{name}: dealer-free 2 of 3, max error {worst:.2e}")
    assert worst <= together.scheme.sum_error(1.0, 3, 16)


@pytest.mark.slow
@pytest.mark.parametrize("quorum", [Quorum(4, 4), Quorum(6, 10), Quorum(16, 30)])
def test_other_quorums(quorum):
    together = Together(SMALL[0], quorum)
    vectors = [RNG.uniform(-1, 1, 50) for _ in range(2)]
    worst = np.max(np.abs(together.open(vectors, tuple(range(1, quorum.threshold + 1))).values - sum(vectors)))
    assert worst <= together.scheme.sum_error(1.0, 2, 16)


def test_the_key_is_the_sum_and_nobody_has_it(together):
    """Σ s_i opens the public key to small errors; no s_i, share, or what t - 1 parties were sent does."""
    ring = together.scheme.ring
    b, a = rlwe.read_public_key(ring, together.key.material)
    p = ring.primes[0]
    ntt = rlwe.transform(p, ring.degree)

    def error(s):
        e = ntt.inverse(rlwe.plus(b[0], rlwe.multiply(a[0], rlwe.fix(s, p), p), p)).astype(np.int64)
        return int(np.max(np.abs(np.where(e > p // 2, e - p, e))))

    primes = rlwe.data_primes(ring)
    own = [np.frombuffer(secret, dtype=np.int8).astype(np.int64) for secret in together.secrets]
    parts = [rlwe.ntt(rlwe.residues_of(s, primes), primes)[0] for s in own]
    whole = parts[0]
    for part in parts[1:]:
        whole = rlwe.plus(whole, part, p)
    assert error(whole) < 21 * 5
    points = [pairwise.split(expose_secret(share), primes, ring.degree)[0] for share in together.shares]
    held = [shamir.from_bytes(point, primes, ring.degree, "share")[0] for point in points]
    for wrong in (*parts, *held, rlwe.minus(whole, parts[0], p)):
        assert error(wrong) > p // 4
    everything = {secret for secret in together.secrets} | {expose_secret(share) for share in together.shares}
    assert len(everything) == 10
    assert not any(secret in together.key.material for secret in everything)


def test_a_depends_on_the_seed_alone(together):
    ring = together.scheme.ring
    a = joint.common_polynomial(ring, SEED)
    assert np.array_equal(a, joint.common_polynomial(ring, SEED))
    assert not np.array_equal(a, joint.common_polynomial(ring, SEED[::-1]))
    assert np.array_equal(a, rlwe.read_public_key(ring, together.key.material)[1])
    for row, p in zip(a, ring.primes, strict=True):
        stream = shake_256(b"hefl/uniform" + p.to_bytes(8, "big") + (1024).to_bytes(8, "big") + b"hefl/joint/a" + SEED)
        words = (int.from_bytes(w) & ((1 << p.bit_length()) - 1) for w in grouped(stream.digest(16384)))
        assert list(itertools.islice((w for w in words if w < p), 1024)) == row.tolist()


def grouped(raw):
    return (raw[i : i + 8][::-1] for i in range(0, len(raw), 8))


def test_seal_takes_the_public_key_as_its_own(together):
    encryptor = seal.encryptor(together.scheme.ring, together.key.id, together.key.material)
    assert encryptor is not None


def test_bad_parts_are_refused(together):
    scheme, quorum = together.scheme, Quorum(3, 5)
    parts = [scheme.joint_contribution(SEED)[1] for _ in range(5)]
    size = len(parts[0])
    for bad in (b"", parts[0][:-1], b"\xff" * size, bytes(size)):
        with pytest.raises(WireError):
            scheme.joint_public_key(SEED, [bad, *parts[1:]], quorum)
    with pytest.raises(WireError):
        scheme.joint_public_key(SEED, parts[:4], quorum)
    row = [points[0] for points in together.dealt]
    for bad in (b"", row[0][:-1], b"\xff" * len(row[0]), bytes(len(row[0]))):
        with pytest.raises(WireError):
            scheme.joint_share(together.key, 1, [bad, *row[1:]])
    for secret in (b"", b"\x02" * scheme.ring.degree, b"\x80" * scheme.ring.degree):
        with pytest.raises(IntegrityError):
            scheme.joint_deal(secret, quorum, 1)
    with pytest.raises(ParameterError):
        scheme.joint_public_key(SEED, parts, Quorum(1, 5))
    with pytest.raises(ParameterError):
        open_scheme("bfv-lean").joint_contribution(SEED)


def test_one_wrong_deal_spoils_every_sum_and_shows(together):
    """Sharing is not verifiable, so a wrong deal shows only here; that is why a ceremony ends with a self-test."""
    again = Together(together.scheme.preset.name, Quorum(3, 5))
    other = again.scheme.joint_deal(again.scheme.joint_contribution(SEED)[0], Quorum(3, 5), 1)
    row = [points[0] for points in again.dealt]
    again.shares[0] = again.scheme.joint_share(again.key, 1, [other[0], *row[1:]])
    with pytest.raises(IntegrityError):
        again.open([RNG.uniform(-1, 1, 700)], (1, 2, 3))
    again.open([RNG.uniform(-1, 1, 700)], (2, 3, 4))


@pytest.mark.parametrize("name", SMALL)
def test_a_whole_ceremony(name):
    identities = [Identity(f"client-{i}", "client") for i in range(1, 4)]
    roster, keys = roster_of("experiment-1", 1, Identity("coordinator", "coordinator"), *identities)
    scheme = open_scheme(name)
    people = [Participant(one, roster, scheme, Quorum(2, 3), keys[one.name].key(1)) for one in identities]
    wire = b"".join(envelope.to_bytes() for envelope in conduct(people))
    assert len({person.result() for person in people}) == 1
    key = people[0].joint_key
    x = RNG.uniform(-1, 1, 64)
    total = scheme.encrypt(key, x, bound=1.0)
    parts = [scheme.partial_decrypt(people[i - 1].share(), total, (1, 3)) for i in (1, 3)]
    assert np.max(np.abs(scheme.combine(key, total, parts) - x)) <= scheme.sum_error(1.0, 1, 16)
    assert not any(expose_secret(person.share()) in wire for person in people)
