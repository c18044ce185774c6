"""Why answers are flooded, made for one set, given once per c1 and only for one's own sum: each attack without its rule.

Every attack is run twice: against a variant that leaves one rule out, where it must succeed (or the test would prove
nothing), and against what is shipped, where it must fail. The attacker acts on what it would see; ``share`` and ``key``
are read only to score it.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from dataclasses import replace
from fractions import Fraction
from math import gcd, lcm

import numpy as np
import pytest

from hefl_core.errors import DecryptionRefused
from hefl_core.ids import digest
from hefl_core.keys.custody import ShareHolder
from hefl_core.keys.decryption_policy import Contribution, Question
from hefl_core.keys.epochs import EpochRecord
from hefl_core.keys.identity import Identity
from hefl_core.schemes.base import CiphertextVector, PartialDecryption, SecretShare, expose_secret
from hefl_core.schemes.presets import PRESETS
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import pairwise, rlwe, shamir, threshold
from hefl_core.wire.canonical import encode
from hefl_core.wire.envelope import Position
from tests.keys.world import roster_of

NAME = "INSECURE_bfv-threshold-1024"
SCHEME = open_scheme(NAME)
RING = SCHEME.ring
PRIMES = rlwe.data_primes(RING)
N, T = RING.degree, RING.plain_modulus
QUORUM = Quorum(3, 5)
Q = threshold.modulus(RING)


# -- ring elements, as the attacker computes with them ---------------------------------------------------------------


def element(data):
    return shamir.from_bytes(data, PRIMES, N, "element")


def times(x, y):
    """Product of two elements given as NTT values."""
    return np.stack([rlwe.multiply(a, rlwe.fix(b, p), p) for a, b, p in zip(x, y, PRIMES, strict=True)])


def over(x, y):
    """Quotient of two elements given as NTT values."""
    inverse = [[pow(int(value), -1, p) for value in row] for row, p in zip(y, PRIMES, strict=True)]
    return times(x, np.array(inverse, dtype=np.uint64))


def constant_times(x, number):
    return shamir.scale(x, [number % p for p in PRIMES], PRIMES)


def difference(x, y):
    return np.stack([rlwe.minus(a, b, p) for a, b, p in zip(x, y, PRIMES, strict=True)])


def ntt(x):
    return rlwe.ntt(x, PRIMES)


def integers(x):
    """Coefficients as integers around zero."""
    weights = [Q // p * pow(Q // p, -1, p) for p in PRIMES]
    values = [sum(int(v) * w for v, w in zip(column, weights, strict=True)) % Q for column in x.T]
    return [v - Q if v > Q // 2 else v for v in values]


def residues(numbers):
    return np.array([[v % p for v in numbers] for p in PRIMES], dtype=np.uint64)


def modular(number):
    """A fraction modulo q."""
    return number.numerator * pow(number.denominator, -1, Q) % Q


def weight(active, index):
    """λ as a fraction."""
    product = Fraction(1)
    for other in active:
        if other != index:
            product *= Fraction(other, other - index)
    return product


def is_a_key(s):
    """Coefficients -1, 0, 1, neither all equal nor all zero: no random element looks so."""
    values = set(integers(rlwe.inverse_ntt(s, PRIMES)))
    return values <= {-1, 0, 1} and len(values) > 1


# -- the scene -----------------------------------------------------------------------------------------------------------


class Scene:
    """A key held t of n, a sum of everybody's vectors, and holders that keep the rules (or leave some out)."""

    def __init__(self, quorum=QUORUM, without=()):
        self.key, self.shares = SCHEME.keygen(quorum)
        self.secrets = [element(pairwise.split(expose_secret(share), PRIMES, N)[0]) for share in self.shares]
        self.total = self.sum_of(quorum.holders)
        self.words = rlwe.read_ciphertext(RING, self.total.blocks[0], "sum")
        self.c0, self.c1 = self.words[0], self.words[1]
        names = [f"client-{i}" for i in range(1, quorum.holders + 1)]
        self.roster, _ = roster_of("e", 1, *(Identity(n, "client") for n in names))
        self.record = EpochRecord(
            "e", 1, b"", NAME, b"p" * 32, b"k" * 32, quorum, "kms", self.roster.digest, 1, 9, max_decryptions=1000
        )
        self.holders = [ShareHolder(name, INSECURE_without=without) for name in names]
        for holder, share in zip(self.holders, self.shares, strict=True):
            holder.take(share)

    def encrypt(self):
        return SCHEME.encrypt(self.key, np.random.default_rng().uniform(-1, 1, 2000), bound=1.0, integers=(1,))

    def sum_of(self, terms):
        running = SCHEME.accumulator(self.key)
        for _ in range(terms):
            running.add(self.encrypt())
        return running.total()

    def chosen(self, c1, c0=None):
        """A vector with a c1 (and c0) of the attacker's choice."""
        block = rlwe.write_ciphertext(RING, np.stack([np.zeros_like(c1) if c0 is None else c0, c1]))
        return CiphertextVector(self.key.id, 2000, 1, False, 1.0, 16, 5, (block,))

    def ask(self, holder, total, active, *, committed=True, attempt=1):
        """What holder number ``holder`` says to a request of the coordinator that looks right everywhere else."""
        names = self.roster.clients
        position = Position(1, 1, attempt)
        mine = hashlib.sha256(f"{holder} {attempt}".encode()).digest()
        self.holders[holder - 1].commit(position, mine)
        contributions = tuple(
            Contribution(name, hashlib.sha256(name.encode()).digest(), mine if committed else bytes(32))
            for name in names
        )
        question = Question(
            experiment="e",
            position=position,
            contributions=contributions,
            confirmed_headers=tuple(c.header for c in contributions),
            confirmed_blocks=tuple(hashlib.sha256(block).digest() for block in total.blocks),
            active=tuple(names[i - 1] for i in active),
            total=total,
            min_cohort=3,
        )
        return self.holders[holder - 1].answer(question, record=self.record, roster=self.roster, scheme=SCHEME)

    def answer(self, index, factor, noise, c1=None):
        """The bare c1·factor·s + noise of a variant. ``factor``: an integer for all primes."""
        operand = threshold.prepare(RING, constant_times(self.secrets[index - 1], factor))
        return threshold.answer(RING, operand, self.c1 if c1 is None else c1, noise)


def flooding(bits):
    return rlwe.flooding(os.urandom(rlwe.flooding_bytes(N, bits)), bits, PRIMES)


def shipped(scene, index, active):
    return element(SCHEME.partial_decrypt(scene.shares[index - 1], scene.total, active).blocks[0])


# -- 1: no flooding ------------------------------------------------------------------------------------------------------


def test_without_flooding_one_answer_is_the_share():
    scene, active = Scene(), (1, 2, 4)
    factor = modular(weight(active, 2))

    def attack(answer):
        return over(ntt(answer), constant_times(ntt(scene.c1), factor))

    bare = scene.answer(2, factor, np.zeros_like(scene.c1))
    assert np.array_equal(attack(bare), scene.secrets[1])
    assert not np.any(attack(shipped(scene, 2, active)) == scene.secrets[1])


# -- 2: answers that serve any set ---------------------------------------------------------------------------------------


def noise_of(scene, colluders, answers):
    """t - 1 colluders' view: their shares, the opened sum, and an answer c1·s_h + e_h of each other holder h.

    With A = colluders and h, λ_h = a/b: b·(c0 + Σ b·λ_i·c1·s_i) + a·answer = b·(sum + noise) + a·e_h exactly, and the
    flooding vanishes modulo a.
    """
    c1, rests = ntt(scene.c1), {}
    for h, answer in answers.items():
        active = (*colluders, h)
        a, b = weight(active, h).as_integer_ratio()
        whole = scene.c0
        for i in colluders:
            part = times(c1, constant_times(scene.secrets[i - 1], modular(weight(active, i))))
            whole = shamir.add(whole, rlwe.inverse_ntt(part, PRIMES), PRIMES)
        whole = shamir.add(constant_times(whole, b), constant_times(answer, a), PRIMES)
        left = integers(difference(whole, constant_times(scene.known, b)))
        rests[abs(a)] = [v * pow(b, -1, abs(a)) % abs(a) for v in left]
    return rests


def by_remainders(rests):
    """Integers around zero with these remainders, and the modulus they are known by."""
    values, known = [0] * N, 1
    for modulus, rest in rests.items():
        shared = gcd(known, modulus)
        step = pow(known // shared, -1, modulus // shared) if modulus > shared else 0
        for j, (value, wanted) in enumerate(zip(values, rest, strict=True)):
            values[j] = value + known * ((wanted - value) // shared * step % (modulus // shared))
        known = lcm(known, modulus)
    return [v - known if v > known // 2 else v for v in (v % known for v in values)], known


def worst_colluders():
    """The five of ten whose numerators tell most."""

    def told(five):
        others = set(range(1, 11)) - set(five)
        return lcm(*(weight((*five, h), h).numerator for h in others))

    return max(itertools.combinations(range(1, 11), 5), key=told)


def test_answers_that_serve_any_set_give_the_key_to_t_minus_one():
    scene, colluders = Scene(Quorum(6, 10)), worst_colluders()
    honest = sorted(set(range(1, 11)) - set(colluders))
    active = tuple(sorted((*colluders, honest[0])))
    opened = SCHEME.open(
        scene.key, scene.total, [SCHEME.partial_decrypt(scene.shares[i - 1], scene.total, active) for i in active]
    )
    words = [int(w) for w in opened.words]
    scene.known = residues([(w * Q + T // 2) // T for w in words + [0] * (N - len(words))])

    def attack(answers):
        noise, known = by_remainders(noise_of(scene, colluders, answers))
        whole = shamir.add(scene.known, residues(noise), PRIMES)
        return over(ntt(difference(whole, scene.c0)), ntt(scene.c1)), known

    serving_all = {h: scene.answer(h, 1, flooding(71)) for h in honest}
    key, known = attack(serving_all)
    print(f"colluders {colluders}: noise known modulo {known}, flooded with 2^71 all the same")
    assert is_a_key(key)

    # Shipped: the same answers, with λ of their set folded in; even for all five sets, as if no ledger stood before it.
    for_a_set = {}
    for h in honest:
        members = tuple(sorted((*colluders, h)))
        undone = pow(modular(weight(members, h)), -1, Q)
        for_a_set[h] = constant_times(shipped(scene, h, members), undone)
    assert not is_a_key(attack(for_a_set)[0])


def test_a_holder_answers_for_one_exact_set():
    scene = Scene()
    for active in [(1, 2), (1, 2, 3, 4), (2, 3, 4)]:
        with pytest.raises(DecryptionRefused, match="active set"):
            scene.ask(1, scene.total, active)


# -- 3: two sets on one c1 -----------------------------------------------------------------------------------------------


def test_two_sets_with_the_same_flooding_give_the_share():
    scene, sets = Scene(), ((1, 2, 3), (1, 4, 5))
    first, second = (modular(weight(active, 1)) for active in sets)

    def attack(one, two):
        return over(ntt(difference(one, two)), constant_times(ntt(scene.c1), first - second))

    same = flooding(71)
    assert np.array_equal(attack(scene.answer(1, first, same), scene.answer(1, second, same)), scene.secrets[0])
    wrong = attack(*(shipped(scene, 1, active) for active in sets))
    assert not np.any(wrong == scene.secrets[0])


def nearest(basis, target):
    """The lattice point next to the target, by Babai's rounding in a reduced basis of two vectors."""
    (a, b), (c, d) = basis
    det = a * d - b * c
    x = (target[0] * d - target[1] * c) * 2 // det + 1 >> 1
    y = (target[1] * a - target[0] * b) * 2 // det + 1 >> 1
    return x * a + y * c, x * b + y * d


def reduced(u, v):
    """Lagrange and Gauss: the shortest basis of a lattice in the plane."""
    while True:
        if u[0] ** 2 + u[1] ** 2 > v[0] ** 2 + v[1] ** 2:
            u, v = v, u
        norm = u[0] ** 2 + u[1] ** 2
        k = (2 * (u[0] * v[0] + u[1] * v[1]) + norm) // (2 * norm)
        if k == 0:
            return u, v
        v = (v[0] - k * u[0], v[1] - k * u[1])


def test_two_sets_with_random_points_give_the_share_by_lattice_reduction():
    """Independent flooding does not help when λ is a random number: 2 · (120 - 54) bits say more than c1·s has."""
    scene, flood = Scene(), PRESETS["bfv-threshold-small"].flood_bits
    first, second = (int.from_bytes(os.urandom(20)) % Q for _ in range(2))
    ratio = second * pow(first, -1, Q) % Q
    basis = reduced((1, ratio), (0, Q))

    def attack(one, two):
        near = [nearest(basis, pair)[0] for pair in zip(integers(one), integers(two), strict=True)]
        return over(ntt(residues(near)), constant_times(ntt(scene.c1), first))

    answers = [scene.answer(1, factor, flooding(flood)) for factor in (first, second)]
    assert np.array_equal(attack(*answers), scene.secrets[0])
    once = scene.answer(1, first, flooding(flood))
    alone = attack(once, constant_times(once, ratio))  # one answer, and what can be computed from it
    assert not np.any(alone == scene.secrets[0])


def test_a_holder_answers_one_set_per_c1_whatever_the_bytes():
    scene = Scene()
    scene.ask(1, scene.total, (1, 2, 3))
    changed = scene.words.copy()
    changed[0, :, 0] ^= np.uint64(1)
    again = scene.chosen(scene.c1, changed[0])
    for total in (scene.total, again):
        with pytest.raises(DecryptionRefused, match="one set per mask"):
            scene.ask(1, total, (1, 4, 5), attempt=2)
    lab = Scene(without=("one set per mask",))
    assert lab.ask(1, lab.total, (1, 2, 3)) != lab.ask(1, lab.total, (1, 4, 5), attempt=2)


# -- 4: fresh flooding for the same question -----------------------------------------------------------------------------


def test_fresh_flooding_averages_away_and_the_shipped_one_stays():
    """With 2^4 instead of 2^71, 800 repetitions suffice: each coefficient has met its smallest flooding."""
    scene, active, bits = Scene(), (1, 2, 4), 4
    factor = modular(weight(active, 1))

    def attack(ask):
        first = ask()
        lowest = np.zeros(N, dtype=np.int64)
        for _ in range(800):
            step = difference(ask(), first)[0].astype(np.int64)
            lowest = np.minimum(lowest, np.where(step > PRIMES[0] // 2, step - PRIMES[0], step))
        bare = difference(first, residues([-(1 << bits) - int(low) for low in lowest]))
        return over(ntt(bare), constant_times(ntt(scene.c1), factor))

    silent = scene.answer(1, factor, np.zeros_like(scene.c1))
    assert np.array_equal(attack(lambda: shamir.add(silent, flooding(bits), PRIMES)), scene.secrets[0])
    once = shipped(scene, 1, active)
    assert np.array_equal(once, shipped(scene, 1, active))
    assert not np.any(attack(lambda: once) == scene.secrets[0])
    lab = Scene(without=("same bytes", "one set per mask", "one sum per round"))
    answers = {lab.ask(1, lab.total, active).to_bytes() for _ in range(2)}
    assert len(answers) == 1, "the flooding itself repeats, even where a holder forgot that it answered"


# -- 5: chosen c1 --------------------------------------------------------------------------------------------------------

BIG = 1 << 100


def constant():
    """c1 = 2^100: an answer to it is 2^100 · λ·s + flooding, and 2^71 does not hide that."""
    return residues([BIG] + [0] * (N - 1))


def key_from(answers):
    total = answers[0]
    for other in answers[1:]:
        total = shamir.add(total, other, PRIMES)
    return ntt(residues([(2 * v + BIG) // (2 * BIG) for v in integers(total)]))


def test_a_constant_c1_hands_out_the_key_unless_holders_know_their_sum():
    lab, active = Scene(without=("own commitment",)), (1, 3, 5)
    wanted = lab.chosen(constant())
    answers = [lab.ask(i, wanted, active, committed=False) for i in active]
    assert is_a_key(key_from([element(answer.blocks[0]) for answer in answers]))
    kept = Scene()
    for i in active:
        with pytest.raises(DecryptionRefused, match="own commitment"):
            kept.ask(i, kept.chosen(constant()), active, committed=False)


def test_the_last_to_speak_shapes_the_sum_unless_all_commit_first():
    """A rushing client sends target - Σ others: the sum contains everybody's ciphertext, and is what it wants."""
    scene, active = Scene(), (1, 3, 5)

    def attack(mine):
        total = scene.chosen(shamir.add(scene.c1, mine, PRIMES), scene.c0)
        answers: list[PartialDecryption] = [scene.ask(i, total, active) for i in active]
        return key_from([element(answer.blocks[0]) for answer in answers])

    after_seeing_the_others = difference(constant(), scene.c1)
    assert is_a_key(attack(after_seeing_the_others))
    scene = Scene()
    committed_before = difference(constant(), Scene().c1)
    assert not is_a_key(attack(committed_before))


# -- 6: honest answers, read one by one ------------------------------------------------------------------------------------

SET, FIVE = (1, 2, 3, 5, 6, 9), (4, 5, 7, 8, 10)
"""An active set, and the five of ten that it tells most: one of them is in it, five honest answers are seen."""
HONEST = tuple(h for h in SET if h not in FIVE)


def left_of(h, active=SET, colluders=FIVE):
    """b: how much of c1·s stands in h's answer once the colluders take away what their own shares say about it."""
    left = weight(active, h)
    for c in colluders:
        left *= Fraction(h - c, -c)
    return left


def bare(scene, h, c1, answer, active=SET, colluders=FIVE):
    """b·c1·s + e, and whatever masks: an answer without what the colluders' own shares say of it."""
    for c in colluders:
        factor = weight(active, h) * Fraction(h, c)
        for other in colluders:
            if other != c:
                factor *= Fraction(h - other, c - other)
        part = times(ntt(c1), constant_times(scene.secrets[c - 1], modular(factor)))
        answer = difference(answer, rlwe.inverse_ntt(part, PRIMES))
    return answer


def unmasked(scene, h, c1, rest, active=SET, colluders=FIVE):
    """The same without the masks that h shares with colluders of its set: they have the seeds."""
    for c in set(colluders) & set(active):
        opened = pairwise.open_share(expose_secret(scene.shares[c - 1]), PRIMES, N, scene.key.quorum.holders, "share")
        shared = pairwise.of_pair(opened.seeds[h - 1], active, threshold.pair_label(scene.key.id, c1), PRIMES, N)
        rest = difference(rest, shared) if h < c else shamir.add(rest, shared, PRIMES)
    return rest


def message_of(total, scene):
    """The opened sum as the ring has it, the same for everybody."""
    partials = [SCHEME.partial_decrypt(scene.shares[i - 1], total, SET) for i in SET]
    words = [int(w) for w in SCHEME.open(scene.key, total, partials).words]
    return residues([(w * Q + T // 2) // T for w in words + [0] * (N - len(words))])


def key_beside(c1, c0, message, rests, told=156_800):
    """s from b·c1·s + e: with b = x/y, y·(b·c1·s + e) - x·(message - c0) is x·noise modulo y. ``rests``: b to the rest."""
    remainders = {}
    for b, rest in rests.items():
        x, y = b.as_integer_ratio()
        apart = difference(constant_times(rest, y), constant_times(difference(message, c0), x))
        remainders[y] = [v * pow(x, -1, y) % y for v in integers(apart)]
    noise, known = by_remainders({y: rest for y, rest in remainders.items() if y > 1})
    assert known == told, "more than the noise is wide"
    return over(ntt(difference(shamir.add(message, residues(noise), PRIMES), c0)), ntt(c1))


def without_masks(seeds, index, members, label, primes, degree):
    return np.zeros((len(primes), degree), dtype=np.uint64)


def test_five_of_ten_beside_the_set_take_the_key_from_one_sum_unless_answers_are_masked(monkeypatch):
    """The attacker takes off the masks that it knows, and tries it as the answers came: either may be what was sent."""

    def attack():
        scene = Scene(Quorum(6, 10))
        message, seen = message_of(scene.total, scene), {h: shipped(scene, h, SET) for h in HONEST}
        as_sent = {h: bare(scene, h, scene.c1, answer) for h, answer in seen.items()}
        taken_off = {h: unmasked(scene, h, scene.c1, rest) for h, rest in as_sent.items()}
        by_part = [{left_of(h): rest for h, rest in rests.items()} for rests in (as_sent, taken_off)]
        return any(is_a_key(key_beside(scene.c1, scene.c0, message, rests)) for rests in by_part)

    assert not attack()
    monkeypatch.setattr(pairwise, "mask", without_masks)
    assert attack(), "the control: flooded with 2^71, and open all the same"
    monkeypatch.undo()
    monkeypatch.setattr(pairwise, "of_pair", lambda *_: np.zeros_like(Scene().c1))
    assert attack(), "a second control: masks are added, and are zero"


def test_masks_that_are_one_for_all_sums_cancel_in_a_difference(monkeypatch):
    """The second fault: masks are there and add up to zero, but two sums of one set have the same."""

    def attack():
        scene = Scene(Quorum(6, 10))
        other = scene.sum_of(10)
        words = rlwe.read_ciphertext(RING, other.blocks[0], "sum")
        c0, c1 = difference(scene.c0, words[0]), difference(scene.c1, words[1])
        message = difference(message_of(scene.total, scene), message_of(other, scene))
        as_sent, taken_off = {}, {}
        for h in HONEST:
            second = element(SCHEME.partial_decrypt(scene.shares[h - 1], other, SET).blocks[0])
            one, two = bare(scene, h, scene.c1, shipped(scene, h, SET)), bare(scene, h, words[1], second)
            as_sent[left_of(h)] = difference(one, two)
            taken_off[left_of(h)] = difference(unmasked(scene, h, scene.c1, one), unmasked(scene, h, words[1], two))
        return any(is_a_key(key_beside(c1, c0, message, rests)) for rests in (as_sent, taken_off))

    assert not attack()
    monkeypatch.setattr(threshold, "pair_label", lambda key_id, c1: b"one for all")
    assert attack()


EQUIVOCATED = {1: (1, 5, 6, 7, 8, 10), 10: (1, 5, 6, 8, 9, 10)}
"""What a coordinator tells two honest holders of 6 of 10 on one c1; all others named in the sets are its accomplices."""
ACCOMPLICES = (5, 6, 7, 8, 9)


def test_a_coordinator_that_names_two_sets_takes_the_key_unless_masks_belong_to_the_set(monkeypatch):
    """Each holder keeps its rules: one set per c1. The pair's mask cancels only if both were told the same set."""

    def attack():
        scene = Scene(Quorum(6, 10))
        told, as_sent, taken_off = Fraction(0), np.zeros_like(scene.c1), np.zeros_like(scene.c1)
        for h, active in EQUIVOCATED.items():
            answer = element(scene.ask(h, scene.total, active).blocks[0])
            rest = bare(scene, h, scene.c1, answer, active, ACCOMPLICES)
            as_sent = shamir.add(as_sent, rest, PRIMES)
            taken_off = shamir.add(taken_off, unmasked(scene, h, scene.c1, rest, active, ACCOMPLICES), PRIMES)
            told += left_of(h, active, ACCOMPLICES)
        message = message_of(scene.total, scene)
        keys = [key_beside(scene.c1, scene.c0, message, {told: rest}, told=567) for rest in (as_sent, taken_off)]
        return any(is_a_key(key) for key in keys)

    assert not attack()

    def for_any_set(seed, members, label, primes, degree):
        return rlwe.expand(hashlib.sha256(b"hefl/pair/mask" + seed + label).digest(), primes, degree)

    monkeypatch.setattr(pairwise, "of_pair", for_any_set)
    assert attack(), "the control: one mask for a pair, whatever the set"


def test_an_answer_is_the_bare_one_and_this_mask():
    """λ_i·c1·s_i + e_i + z_i, with z_i derived here anew from the seeds, the set, the key's name and the residues of c1."""
    scene, active = Scene(), (1, 2, 4)
    for i in active:
        material = expose_secret(scene.shares[i - 1])
        seeds = pairwise.split(material, PRIMES, N)[1]
        stream = digest(b"hefl/flooding", material, encode((str(scene.key.id), i, active)))
        noise = threshold._flooding(SCHEME.preset, RING, stream, scene.c1)
        wanted = scene.answer(i, modular(weight(active, i)), noise)
        label = digest(encode(str(scene.key.id)), digest(b"hefl/c1", scene.c1.astype("<u8").tobytes()))
        for other in set(active) - {i}:
            seed = seeds[32 * (other - 1) : 32 * other]
            mask = rlwe.expand(digest(b"hefl/pair/mask", seed, encode(active), label), PRIMES, N)
            wanted = shamir.add(wanted, mask, PRIMES) if i < other else difference(wanted, mask)
        assert np.array_equal(shipped(scene, i, active), wanted)


def test_every_input_of_a_mask_changes_all_of_it():
    scene, other = Scene(), Scene()
    usual = {"seed": b"s" * 32, "members": (1, 2, 3), "key": scene.key.id, "c1": scene.c1}
    changes = {"seed": b"t" * 32, "members": (1, 2, 4), "key": other.key.id, "c1": other.c1}

    def mask(seed, members, key, c1):
        return pairwise.of_pair(seed, members, threshold.pair_label(key, c1), PRIMES, N)

    first = mask(**usual)
    assert np.array_equal(first, mask(**usual)), "the control: both holders derive the same"
    for name, value in changes.items():
        assert (mask(**{**usual, name: value}) == first).sum() <= 3, f"{name} does not reach the mask"
    one_coefficient = scene.c1.copy()
    one_coefficient[0, 0] ^= np.uint64(1)
    assert (mask(**{**usual, "c1": one_coefficient}) == first).sum() <= 3


@pytest.mark.parametrize("changed", ["key", "members", "seed", "c1"])
def test_every_input_reaches_the_answer(changed):
    """The same through the holder's own function: bare answers of one share, and masks that differ in one input."""
    scene, usual = Scene(), (1, 2, 4)

    def mask_in(share, total, active):
        """The answer less λ_i·c1·s_i and its flooding."""
        material = expose_secret(share)
        c1 = rlwe.read_ciphertext(RING, total.blocks[0], "sum")[1]
        stream = digest(b"hefl/flooding", material, encode((str(share.id), share.index, active)))
        noise = threshold._flooding(SCHEME.preset, RING, stream, c1)
        found = element(threshold.partial_decrypt(SCHEME.preset, RING, share, total, active).blocks[0])
        return difference(found, scene.answer(1, modular(weight(active, 1)), noise, c1))

    share, total, active = scene.shares[0], scene.total, usual
    first = mask_in(share, total, active)
    assert first.any()
    if changed == "key":
        share = SecretShare(replace(share.id, epoch=share.id.epoch + 1), share.quorum, 1, expose_secret(share))
    elif changed == "members":
        active = (1, 2, 5)
    elif changed == "seed":
        point, seeds = pairwise.split(expose_secret(share), PRIMES, N)
        share = SecretShare(share.id, share.quorum, 1, point + bytes(b ^ 1 for b in seeds))
    else:
        total = scene.sum_of(2)
    assert (mask_in(share, total, active) == first).sum() <= 3, f"{changed} does not reach the answer"


def test_masks_of_a_set_are_zero_together_and_uniform_alone():
    rows = pairwise.deal_seeds(5)
    for members in ((1, 2, 3), (1, 4, 5), (2, 5)):
        masks = [
            pairwise.mask([rows[i - 1][32 * j : 32 * j + 32] for j in range(5)], i, members, b"label", PRIMES, N)
            for i in members
        ]
        total = masks[0]
        for one in masks[1:]:
            total = shamir.add(total, one, PRIMES)
        assert not total.any() and all(len(np.unique(one)) == one.size for one in masks)


def test_a_pair_without_a_dealer_has_one_seed_and_nobody_else_has_it():
    dealt = [pairwise.halves(4, i) for i in range(1, 5)]
    rows = [pairwise.join(j, [row[j - 1] for row in dealt]) for j in range(1, 5)]
    seeds = [[row[32 * j : 32 * j + 32] for j in range(4)] for row in rows]
    assert all(seeds[i][j] == seeds[j][i] for i in range(4) for j in range(4))
    assert len({seeds[i][j] for i in range(4) for j in range(i)}) == 6
    assert all(seeds[i][i] == bytes(32) for i in range(4))
