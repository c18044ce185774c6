"""A key that five phones make without a dealer: Python accepts it, three phones open its sums, and meddling is refused."""

import os

import numpy as np
import pytest

from hefl_core.classroom import bridge
from hefl_core.schemes.base import expose_secret
from hefl_core.schemes.presets import load_preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.ring import pairwise, rlwe, shamir
from hefl_core.schemes.ring.bfv import BFVScheme
from tests.classroom.javascript import JavaScriptError
from tests.classroom.test_vectors import ENCRYPT, PARTIALS

PRESET = load_preset("bfv-threshold-classroom")
QUORUM = Quorum(3, 5)
MEMBERS = (1, 2, 5)

COMMON = """
  const parameters = JSON.parse(given.parameters), ring = m.phone.openRing(parameters), c = m.ceremony;
  const a = c.commonPolynomial(ring, given.seed);
"""
CONTRIBUTE = (
    COMMON
    + """
  const phones = Array.from({ length: 5 }, () => c.contribute(ring, a)), all = m.hash.join(phones.map((one) => one.bytes));
  const commitments = m.hash.join(phones.map((one) => c.commitmentOf(one.bytes)));
  const parts = c.openContributions(all, commitments, 2, phones[1].bytes);
"""
)
MAKE = (
    CONTRIBUTE
    + """
  const dealt = phones.map(({ secret }, i) => c.deal(ring, secret, { threshold: 3, holders: 5 }, i + 1));
  const sealed = (i, j) => c.seal(ring, parts[j], a, dealt[i][j], c.contextOf(given.seed, parts, i + 1, j + 1));
  const arrived = (i, j, bytes) => c.unseal(ring, phones[j], a, bytes, c.contextOf(given.seed, parts, i + 1, j + 1));
  // What the server carries: sealed shares, never a share. Each phone keeps its own.
  const carried = phones.map((_, j) => phones.map((_, i) => (i === j ? dealt[i][j] : sealed(i, j))));
  const shares = carried.map((to, j) => c.shareOf(ring, to.map((bytes, i) => (i === j ? bytes : arrived(i, j, bytes))), j + 1));
  return { parts, commitments, shares, dealt, carried: [carried[0][1], carried[4][3]], secrets: phones.map((one) => one.secret),
    aloud: c.shortFingerprint(given.seed, parts) };
"""
)


class Made:
    def __init__(self, js):
        self.js, self.seed = js, os.urandom(32)
        self.scheme = BFVScheme(PRESET)
        self.given = {"parameters": bridge.ring_parameters(PRESET, QUORUM).decode(), "seed": self.seed}
        self.found = js.run(MAKE, **self.given)
        self.parts = [bridge.contribution(raw, PRESET) for raw in self.found["parts"]]
        self.key = self.scheme.joint_public_key(self.seed, self.parts, QUORUM)
        self.phone = bridge.phone_key(self.key, PRESET, dealer_free=True)


@pytest.fixture(scope="module")
def made(js):
    return Made(js)


def test_python_makes_the_same_key_and_shares(made):
    """The key is the contributions' sum, and the phones' shares are those that Python makes of the same points."""
    ring, primes = made.scheme.ring, rlwe.data_primes(made.scheme.ring)
    whole = np.array(made.found["secrets"], dtype=np.int64).sum(axis=0)
    for index in range(1, 6):
        share = made.scheme.joint_share(made.key, index, [to[index - 1] for to in made.found["dealt"]])
        assert expose_secret(share) == made.found["shares"][index - 1]
    points = [shamir.from_bytes(pairwise.split(s, primes, ring.degree)[0], primes, ring.degree, "s") for s in made.found["shares"]]
    opened = np.zeros_like(points[0])
    for i in MEMBERS:
        factors = [shamir.lagrange(MEMBERS, i, p) for p in primes]
        opened = shamir.add(opened, shamir.scale(points[i - 1], factors, primes), primes)
    assert np.array_equal(opened, rlwe.ntt(rlwe.residues_of(whole, primes), primes))


def test_three_phones_open_a_sum_under_the_phones_own_key(made):
    how = {"bound": 1.0, "max_terms": 40}
    given = {"parameters": made.phone.parameters.decode(), "raw": made.phone.raw}
    ballots = [[0, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]]
    raws = made.js.run(ENCRYPT, answers=[{"integers": b, "values": [0.0], "how": how} for b in ballots], **given)
    running = made.scheme.accumulator(made.key)
    for raw in raws:
        label = {"length": 1, "integers": 3, "tagged": False, "bound": 1.0, "max_terms": 40}
        running.add(bridge.upload(raw, made.key, PRESET, **label))
    total = running.total()
    materials = [(i, made.found["shares"][i - 1]) for i in MEMBERS]
    c1 = bridge.sum_for_holders(total, PRESET)
    answers = made.js.run(PARTIALS, materials=materials, members=MEMBERS, c1=c1, **given)
    partials = [bridge.partial(raw, PRESET, total, i, MEMBERS) for i, raw in zip(MEMBERS, answers, strict=True)]
    opened = made.scheme.open(made.key, total, partials)
    assert opened.integers == (1, 2, 1) and opened.values == pytest.approx([0.0])


def test_what_the_server_carries_is_sealed(made):
    """No piece of a share, or of a half seed, stands in what it carries; the control finds it in the phone's own copy."""
    assert {len(bytes_) for bytes_ in made.found["carried"]} == {bridge.sealed_nbytes(PRESET)}
    point = made.found["dealt"][0][1]
    for start in (0, 999, len(point) - 32):
        piece = point[start : start + 16]
        assert not any(piece in bytes_ for bytes_ in made.found["carried"]) and piece in point


def test_what_is_read_aloud_depends_on_every_bit(made):
    body = COMMON + "return c.shortFingerprint(given.other, given.parts)"
    parts = made.found["parts"]
    same = made.js.run(body, other=made.seed, parts=parts, **made.given)
    changed = [bytes([parts[3][0] ^ 1]) + parts[3][1:] if k == 3 else part for k, part in enumerate(parts)]
    assert same == made.found["aloud"] and len(same.replace(" ", "")) == 8
    assert same != made.js.run(body, other=made.seed, parts=changed, **made.given)
    assert same != made.js.run(body, other=bytes(32), parts=parts, **made.given)


@pytest.mark.parametrize("place", ["0", "8 * 4096 * 2 + 3", "8 * 4112 * 2 + 7", "whole.length - 33", "whole.length - 1"])
def test_an_altered_sealed_share_is_refused(made, place):
    """One bit of c1, of c0, of the hidden share, of its end, of the tag. The control opens unaltered."""
    body = (
        CONTRIBUTE
        + """
      const context = c.contextOf(given.seed, parts, 1, 2), text = new Uint8Array(40).map((_, at) => at);
      const whole = c.seal(ring, parts[1], a, text, context);
      if (!m.hash.same(c.unseal(ring, phones[1], a, whole, context), text)) throw new Error("control failed");
      """
        + f"whole[{place}] ^= 1; return c.unseal(ring, phones[1], a, whole, context);"
    )
    with pytest.raises(JavaScriptError, match="altered, or is not for this phone|residues below"):
        made.js.run(body, **made.given)


def test_a_sealed_share_serves_one_sender_and_one_recipient(made):
    body = (
        CONTRIBUTE
        + """
      const context = (i, j, seed = given.seed) => c.contextOf(seed, parts, i, j);
      const whole = c.seal(ring, parts[1], a, new Uint8Array(40), context(1, 2));
      const tried = [[phones[2], context(1, 2)], [phones[1], context(3, 2)], [phones[1], context(1, 3)],
        [phones[1], context(1, 2, new Uint8Array(32))]];
      return tried.map(([phone, where]) => { try { return c.unseal(ring, phone, a, whole, where); } catch (e) { return e.message; } });
    """
    )
    assert all("altered, or is not for this phone" in found for found in made.js.run(body, **made.given))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("all.set(phones[0].bytes, 4 * size)", "another contribution than it had committed to"),
        ("all.set(phones[0].bytes, 4 * size); refit()", "two contributions are the same"),
        ("all.set(c.contribute(ring, a).bytes, size); refit()", "my own contribution was replaced"),
        ("all = all.subarray(0, 4 * size)", "a contribution is missing"),
    ],
)
def test_contributions_that_do_not_fit_are_refused(made, fault, words):
    body = CONTRIBUTE.replace(", all =", "; let all =").replace("const commitments", "let commitments") + """
      const size = phones[0].bytes.length;
      const refit = () => (commitments = m.hash.join([0, 1, 2, 3, 4].map((k) => c.commitmentOf(all.subarray(k * size, (k + 1) * size)))));
    """
    with pytest.raises(JavaScriptError, match=words):
        made.js.run(body + fault + "; c.openContributions(all, commitments, 2, phones[1].bytes)", **made.given)


def test_a_phone_checks_the_classes_key(made):
    """A server that publishes a key of its own, or one contribution more or less, is seen; the true key passes."""
    body = COMMON + "c.checkKey(ring, given.raw, given.parts, a); return true"
    parts = made.found["parts"]
    assert made.js.run(body, raw=made.phone.raw, parts=parts, **made.given) is True
    own = bridge.phone_key(made.scheme.keygen(QUORUM)[0], PRESET).raw
    for raw, used in ((own, parts), (made.phone.raw, parts[:4]), (made.phone.raw[: len(own) // 2] + own[len(own) // 2 :], parts)):
        with pytest.raises(JavaScriptError, match="not the sum of the contributions"):
            made.js.run(body, raw=raw, parts=used, **made.given)
