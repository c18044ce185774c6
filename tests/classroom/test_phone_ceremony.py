"""A key that five phones make without a dealer: Python accepts it, three phones open its sums, and meddling is refused."""

import os
import re

import numpy as np
import pytest

from hefl_core.classroom import bridge
from hefl_core.ids import digest
from hefl_core.schemes.base import expose_secret
from hefl_core.schemes.presets import load_preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.ring import pairwise, rlwe, shamir
from hefl_core.schemes.ring.bfv import BFVScheme
from tests.classroom.test_vectors import ENCRYPT, PARTIALS

PRESET = load_preset("bfv-threshold-classroom")
QUORUM = Quorum(3, 5)
MEMBERS = (1, 2, 5)

MAKE = """
  const parameters = JSON.parse(given.parameters), ring = m.phone.openRing(parameters), c = m.ceremony;
  const a = c.commonPolynomial(ring, given.seed);
  const phones = Array.from({ length: 5 }, () => c.contribute(ring, a)), all = m.hash.join(phones.map((one) => one.bytes));
  const commitments = m.hash.join(phones.map((one) => c.commitmentOf(one.bytes)));
  const parts = c.openContributions(all, commitments, 2, phones[1].bytes);
  const dealt = phones.map(({ secret }, i) => c.deal(ring, secret, { threshold: 3, holders: 5 }, i + 1));
  const sealed = (i, j) => c.seal(ring, parts[j], a, dealt[i][j], c.contextOf(given.seed, parts, i + 1, j + 1));
  const arrived = (i, j, bytes) => c.unseal(ring, phones[j], a, bytes, c.contextOf(given.seed, parts, i + 1, j + 1));
  // What the server carries: sealed shares, never a share. Each phone keeps its own.
  const carried = phones.map((_, j) => phones.map((_, i) => (i === j ? dealt[i][j] : sealed(i, j))));
  const shares = carried.map((to, j) => c.shareOf(ring, to.map((bytes, i) => (i === j ? bytes : arrived(i, j, bytes))), j + 1));
  return { a: m.ring.writeRows(a, ring.primes, m.ring.eightBytes), parts, commitments, shares, dealt,
    carried: [carried[1][0], carried[3][4]], secrets: phones.map((one) => one.secret),
    aloud: c.shortFingerprint(given.seed, parts) };
"""
MADE = """
  const parameters = JSON.parse(given.parameters), ring = m.phone.openRing(parameters), c = m.ceremony, { parts } = given;
  const a = m.ring.readRows(given.a, ring.degree, ring.primes, m.ring.eightBytes, "a");
  const phone = (k) => ({ secret: Float64Array.from(given.secrets[k]), bytes: parts[k] });
"""


class Made:
    def __init__(self, js):
        self.js, self.seed = js, os.urandom(32)
        self.scheme = BFVScheme(PRESET)
        self.given = {"parameters": bridge.ring_parameters(PRESET, QUORUM).decode(), "seed": self.seed}
        self.found = js.run(MAKE, **self.given)
        self.parts = [bridge.contribution(raw, PRESET) for raw in self.found["parts"]]
        self.key = self.scheme.joint_public_key(self.seed, self.parts, QUORUM)
        self.phone = bridge.phone_key(self.key, PRESET, dealer_free=True)

    def run(self, body, **given):
        """``body`` with what the five phones made, without making it again."""
        had = {name: self.found[name] for name in ("a", "parts", "secrets", "commitments")}
        return self.js.run(MADE + body, **(self.given | had | given))


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
    points = [
        shamir.from_bytes(pairwise.split(s, primes, ring.degree)[0], primes, ring.degree, "s")
        for s in made.found["shares"]
    ]
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
    parts = made.found["parts"]
    changed = [bytes([parts[3][0] ^ 1]) + parts[3][1:] if k == 3 else part for k, part in enumerate(parts)]
    body = "return given.cases.map(([seed, parts]) => c.shortFingerprint(seed, parts))"
    same, other, seed = made.run(body, cases=[(made.seed, parts), (made.seed, changed), (bytes(32), parts)])
    assert same == made.found["aloud"] and len(same.replace(" ", "")) == 8 and same not in (other, seed)


def test_an_altered_sealed_share_is_refused(made):
    """One bit of c1, of c0, of the hidden share, of its end, of the tag. The control opens unaltered."""
    body = """
      const context = c.contextOf(given.seed, parts, 1, 2), text = new Uint8Array(40).map((_, at) => at);
      const whole = c.seal(ring, parts[1], a, text, context);
      const open = (bytes) => {
        try { return c.unseal(ring, phone(1), a, bytes, context); } catch (error) { return error.message; }
      };
      const places = [0, 8 * 4096 * 2 - 3, 8 * 4096 * 2 + 3, 8 * 4112 * 2 + 7, whole.length - 33, whole.length - 1];
      const altered = places.map((place) => open(whole.with(place, whole[place] ^ 1)));
      return [open(whole), ...altered, open(whole.subarray(1)), open(whole.subarray(0, -1))];
    """
    control, *altered = made.run(body)
    assert control == bytes(range(40)) and len(altered) == 8
    assert all(re.search("altered, or is not for this phone|residues below", found) for found in altered)


def test_a_sealed_share_serves_one_sender_and_one_recipient(made):
    body = """
      const context = (i, j, seed = given.seed) => c.contextOf(seed, parts, i, j);
      const whole = c.seal(ring, parts[1], a, new Uint8Array(40), context(1, 2));
      const tried = [[2, context(1, 2)], [1, context(3, 2)], [1, context(1, 3)], [1, context(1, 2, new Uint8Array(32))]];
      return tried.map(([k, where]) => {
        try { return c.unseal(ring, phone(k), a, whole, where); } catch (error) { return error.message; }
      });
    """
    assert all("altered, or is not for this phone" in found for found in made.run(body))


def test_contributions_that_do_not_fit_are_refused(made):
    """Another one than was committed to, one twice, mine replaced, one missing; the control passes."""
    parts, size = made.found["parts"], len(made.found["parts"][0])
    whole, commitments = b"".join(parts), made.found["commitments"]
    refit = lambda parts: b"".join(digest(b"hefl/class/commitment", part) for part in parts)  # noqa: E731
    twice, replaced = [*parts[:4], parts[0]], [parts[0], parts[2], parts[1], *parts[3:]]
    cases = {
        "": (whole, commitments),
        "another contribution than it had committed to": (whole[: 4 * size] + parts[0], commitments),
        "two contributions are the same": (b"".join(twice), refit(twice)),
        "my own contribution was replaced": (b"".join(replaced), refit(replaced)),
        "a contribution is missing": (whole[: 4 * size], commitments),
    }
    body = """
      return given.cases.map(([all, commitments]) => {
        try { c.openContributions(all, commitments, 2, parts[1]); return ""; } catch (error) { return error.message; }
      });
    """
    for wanted, found in zip(cases, made.run(body, cases=list(cases.values())), strict=True):
        assert (wanted in found) if wanted else found == ""


def test_a_phone_checks_the_classes_key(made):
    """A server that publishes a key of its own, its b under our a, or one contribution less, is seen; the true key passes."""
    parts, own = made.found["parts"], bridge.phone_key(made.scheme.keygen(QUORUM)[0], PRESET).raw
    mixed = own[: len(own) // 2] + made.phone.raw[len(own) // 2 :]
    cases = [(made.phone.raw, parts), (own, parts), (mixed, parts), (made.phone.raw, parts[:4])]
    body = """
      return given.cases.map(([raw, parts]) => {
        try { c.checkKey(ring, raw, parts, a); return ""; } catch (error) { return error.message; }
      });
    """
    true, *false = made.run(body, cases=cases)
    assert true == "" and all("not the sum of the contributions" in found for found in false)
