"""Where each number that the lessons state comes from: lesson → phrase → what produces it.

A phrase stands word for word in the lesson (spaces count once) and holds its number. Behind it stands a reason, where the
number is not a result, or a function of the executed lesson that says whether it is true. test_stated.py fails for a
number in no phrase, for a phrase that no lesson has, and for a function that says no.
"""

import inspect
import math

import numpy as np

from hefl_core.attacks.lab import THREATS, Setting
from hefl_core.attacks.methods.poisoning import poison
from hefl_core.attacks.result import FAMILY_ALPHA
from hefl_core.measure.sizes import block_sizes
from hefl_core.schemes.fixed_point import FixedPoint
from hefl_core.schemes.presets import PRESETS
from hefl_core.teaching import lessons
from hefl_core.terms.dp import Mechanism
from hefl_core.terms.experiment import Experiment
from tests.teaching.bearing_out import (
    DEFINITION,
    EXAMPLE,
    SOURCE,
    accuracies,
    errors_cancel,
    four_fold_is_two_fold,
    from_three_seats,
    let,
    lines_that_encrypt,
    messages,
    named_after_noise,
    naming_rate_printed,
    preset,
    printed,
    rate_within,
    ratio,
    says,
)

lesson_04 = lessons.exercise_module("04")
lesson_05 = lessons.exercise_module("05")

STATED = {
    "01": {
        "8 × 8 pixels": let("record.size == 64"),
        "64 inputs, one **hidden layer** of 32 units, 10 outputs": says("((64, 32), (32,), (32, 10), (10,))"),
        "one of the model's numbers, 32 bits in floating point": let("theta.dtype == float32"),
        "one number of four bytes for each parameter": let("theta.nbytes == 4 * model.parameters"),
        "A 32-bit number takes 4 bytes": let("theta.itemsize == 4"),
        "enters twice:": DEFINITION,
        "A **correlation** of 1 is the same picture": DEFINITION,
        "fills a few bits less than its 64": let("words.itemsize == 8 and int(words.max()).bit_length() < 64"),
        "We train on batches of 32": says("batch of 32: likeness"),
    },
    "02": {
        "The whole of it fits into four lines": DEFINITION,
        "a clock counts mod 12": DEFINITION,
        "of 2048 bits or more": lambda ran: (
            min(one.modulus_bits for one in PRESETS.values() if one.family == "paillier" and not one.insecure) == 2048
        ),
        "(3 and 7 would not do: 3 divides 7 − 1": lambda ran: math.gcd(3 * 7, (3 - 1) * (7 - 1)) == 3,
        "Two hospitals encrypt 7 and 5": let("(hand.m1, hand.m2) == (7, 5)"),
        "Subtract 1, divide by": DEFINITION,
        "two more digits of … make it ten times slower": lambda ran: (
            math.isqrt(100 * 10**12) == 10 * math.isqrt(10**12)
        ),
        "2048 bits give 112 **bits of security**": preset("paillier-packed", modulus_bits=2048, security_bits=112),
        "3072 bits give 128.": preset("paillier-packed-3072", modulus_bits=3072, security_bits=128),
        "NIST SP 800-57 part 1, table 2": SOURCE,
        "n = 143": let("n == 143"),
        "0 to n² - 1: a ciphertext is twice as long": let("(n * n).bit_length() in (2 * n.bit_length(), 15)"),
        "Mod 12 there are 12 remainders, 0 to 11": lambda ran: {k % 12 for k in range(100)} == set(range(12)),
        "encrypts 7 twice": let("again.m1 == again.m2 == 7 and again.c1 != again.c2"),
        "both hold 7": let("again.m1 == again.m2 == 7"),
        "we add 100 and 60": EXAMPLE,
        "Is 100 + 60 below n?": EXAMPLE,
    },
    "03": {
        "Four more bits divide the error by about sixteen": ratio(
            r"8 bits: largest error (\S+),", r"12 bits: largest error (\S+),", 15, 17
        ),
        "has thousands of usable bits": let("scheme.words.layout.usable_bits >= 2000"),
        "the first field of both numbers is 200": let("a[0] == b[0] == 200"),
        "Fields still have 8 bits, so 255 is the largest": let("EIGHT == 8 and 2**EIGHT - 1 == 255"),
        "refuses in three places": says("an entry beyond the bound: ", "a third term: ", "a field out of range: "),
        "packs thousands of fields": lambda ran: PRESETS["bfv-lean"].degree * PRESETS["bfv-lean"].fields >= 2000,
        "at 8 bits and bound 1.0": let("(bits, bound) == (8, 1.0)"),
        "Half a step: an entry": DEFINITION,
        "Half a step; the step is 1.0 / (2⁷ − 1)": let("step == 1.0 / (2**7 - 1)"),
        "has 20 bits": EXAMPLE,
        "up to 16 clients": EXAMPLE,
        "ceil(log₂ 16) bits": lambda ran: FixedPoint(20, 16).value_bits == 20 - math.ceil(math.log2(16)),
        "a sum of 16 equal numbers": EXAMPLE,
        "16 = 2⁴": DEFINITION,
        "adding [200, 7, 30] and [200, 5, 90] packed into 8-bit fields": let(
            "a.tolist() == [200, 7, 30] and b.tolist() == [200, 5, 90] and EIGHT == 8"
        ),
        "400 is 256 + 144": says("[144 13 120] instead of [400 12 120]"),
        "Add 144 and 256 in your head": DEFINITION,
        "(2047 usable bits, fields of 20 bits)": says("usable for plaintext 2047 bits, a field 20 bits"),
        "from 8 to 16 clients": says("K = 8: largest error of the mean", "K = 16: largest error of the mean"),
        "it doubles: one value bit": ratio(
            r"K = 16: largest error of the mean (\S+)", r"K =  8: largest error of the mean (\S+)", 1.9, 2.1
        ),
        "errs by up to half a step": DEFINITION,
        "the step doubled": lambda ran: 1.99 < FixedPoint(20, 16).step(1.0) / FixedPoint(20, 8).step(1.0) < 2.01,
        "one term's largest error: half a step": DEFINITION,
    },
    "04": {
        "with polynomials in ten lines": lines_that_encrypt,
        "has coefficients −1, 0, 1": let("set(secret) <= {-1, 0, 1}"),
        "hides nothing but zero": let("abs((phase(public_key)[::-1] + q // 2) % q - q // 2).max() <= 3"),
        "(coefficients 0 … t−1;": DEFINITION,
        "four times as many terms, about twice the noise": four_fold_is_two_fold,
        "for a sum of five clients": says("head-room: 3 bits"),
        "or one ciphertext doubled again": DEFINITION,
        "128-bit security": preset("bfv-lean", security_bits=128),
        "q = 12289, t = 16, Δ = 768": let("(q, t, DELTA) == (12289, 16, 768)"),
        "Half of Δ": DEFINITION,
        "The error is doubled exactly, one bit; different ciphertexts cost half a bit": errors_cancel,
        "twice the noise of c": DEFINITION,
        "to base 2": DEFINITION,
        "at N = 4096 with ≥ 3 fields of ≥ 14 bits, for ≥ 32 terms": lambda ran: (
            (lesson_04._FIELDS, lesson_04._FIELD_BITS, lesson_04._TERMS) == (3, 14, 32)
        ),
    },
    "05": {
        "Round 0 is the opening": says("1 round 0 roster"),
        "In round 1 the plan is longer": let("[s.step for s in transcript.of_round(1)][0] == 'plan'"),
        "are [n_k, 1, a tag, w_k·Δ_k]": DEFINITION,
        "Three checks stand": let("len({RE_ADDING, COUNT, TAG}) == 3"),
        "a round with 10 clients": EXAMPLE,
        "Three in loops, four outside": messages,
        "One entry, three clients: Δ = 0.2, -0.1, 0.5 with n = 100, 300, 100 records": lambda ran: (
            lesson_05._CHANGES.tolist() == [0.2, -0.1, 0.5] and lesson_05._EXAMPLES.tolist() == [100, 300, 100]
        ),
        "with count 1 in its place": EXAMPLE,
    },
    "06": {
        "t − 1 cannot": says("(1, 2) → ", "not the secret"),
        "five clients of which any three decrypt": says("share 1 of 5", "(2, 3, 4) → 42 the secret"),
        "written 1 of n": DEFINITION,
        "of degree t − 1": DEFINITION,
        "with t − 1 points": says("secrets that two shares leave possible: 97 of 97"),
        "Three shares open a ciphertext": says(
            "3 shares of epoch 2: 5 of 14 open", "2 shares of epoch 2: 0 of 14 open"
        ),
        "clients 2, 3, 4 + coordinator": EXAMPLE,
        "Holders 1 and 2 alone": says("expected 3 holders, found (1, 2)"),
        "its value at 0": DEFINITION,
        "p = 97, c1 = 35, λ = 2, d = 36": EXAMPLE,
        "d = λ·c1·s mod 97": EXAMPLE,
        "three shares of epoch 2": says("3 shares of epoch 2: "),
        "The five of round 2": says("5 of 14 open, rounds [2]"),
        "under epoch 2's key": EXAMPLE,
        "five clients sent in it": says("epoch 2 decrypt-only rounds (2,) clients 5"),
    },
    "07": {
        "float32, four bytes per parameter": lambda ran: np.float32().itemsize == 4,
        "N = 8192, four primes": preset("ckks-tutorial", degree=8192, prime_bits=(60, 40, 40, 60)),
        "three bits for a number train as well as float32": "benchmarks/few_bits.py: within .003 in five of six settings",
        "Two moves make the upload small": DEFINITION,
        "a key used twice gives away the difference of two updates": "tests/attacks/test_key_reuse.py",
        "at the same number of bits**, which stays smaller": lambda ran: (
            min(printed(r"(?:bfv|onetime)\S*, \S+ +[\d.]+ +[\d.]+ +(\S+)\n", ran)) > 1
        ),
        "two to four values per word instead of half a value": lambda ran: (
            (PRESETS["bfv-lean"].fields, PRESETS["bfv-compact"].fields) == (2, 4)
        ),
        "bfv-lean: N = 4096 words per block, 2 fields per word, 3 words in front": preset(
            "bfv-lean", degree=4096, fields=2
        ),
        "has 112 bits where the others have 128": lambda ran: (
            PRESETS["paillier-packed"].security_bits == 112
            and {PRESETS[one].security_bits for one in ("bfv-lean", "bfv-compact", "bfv-compact-2048", "ckks-lean")}
            == {128}
        ),
        "whose blocks are half as large again": lambda ran: (
            1.45 < block_sizes("paillier-packed-3072").fresh / block_sizes("paillier-packed").fresh < 1.55
        ),
        "99,530 parameters": let("LARGE == 99_530"),
        "How many words do 99,530 fields fill": let("LARGE == 99_530"),
        "Add 3, divide by 4096": let("blocks_of_large == ceil((3 + LARGE / 2) / 4096)"),
        "with 3 words in front": let(
            "blocks_needed(4096 * 4 - 12, 4, 4096) == 1 < blocks_needed(4096 * 4 - 11, 4, 4096)"
        ),
        "Words: 3 and one for every two": DEFINITION,
        "Round up twice": DEFINITION,
        "words = 3 + d / fields": DEFINITION,
        "Four fields to a word": preset("bfv-compact-seeded", fields=4),
        "a seed instead of half of the ciphertext": lambda ran: (
            block_sizes("bfv-compact-seeded").fresh < 0.51 * block_sizes("bfv-compact").fresh
        ),
        "Which of them sends half a ciphertext?": preset("bfv-compact-seeded", seeded=True),
        "Quantised to twelve-bit fields": preset("bfv-compact-seeded", field_bits=12),
        "more than five times as much": lambda ran: printed(r"bfv-compact +[\d,]+ +(\S+) +[\d.]+\n", ran)[0] > 5,
        "Twice the degree, three primes instead of one, and half a value to a word instead of four": preset(
            "bfv-compact", degree=8192 // 2, prime_bits=(60, 20), fields=4
        ),
        "N = 8192 with three data primes for 4,096 values; N = 4096 with one for four times 4,096 values": preset(
            "ckks-tutorial", degree=8192, prime_bits=(60, 40, 40, 60)
        ),
        "from 5 to 10 clients": let("grown.at[:2] == (5, 10) and grown.bytes_up[0] == grown.bytes_up[1]"),
        "Three of five hospitals must come together": let("together.custody == '3-of-5'"),
        "sits down in five seats": lambda ran: len(THREATS) == 5,
    },
    "08": {
        "here are five": lambda ran: len(THREATS) == 5,
        "above 30 dB a picture looks right, at 10 dB a person sees little": "a rule of thumb; the pictures below show both",
        "than to 99 others": says("named among 100", "A blind guess names 1 in 100"),
        "A blind guess is, once in a hundred times": lambda ran: all(r.chance == 0.01 for r in ran.names["rates"]),
        "so ask it of a hundred records": lambda ran: all(rate.records == 100 for rate in ran.names["rates"]),
        "noise of a hundredth": says("the update + noise 0.01"),
        "far more often than once in a hundred": from_three_seats,
        "K = 5": says("reads the mean of 5"),
        "named among 100 far": from_three_seats,
        "in three of four cases": named_after_noise(0.65, 0.85),
        "lie near 10 dB, and three in four are still nearest": named_after_noise(0.65, 0.85),
        "AUC is .5 for a coin and 1 for certainty": DEFINITION,
        "in 40 trials still allows more than one hit in fourteen": lambda ran: (
            printed(r"0 of 40: at most (\S+) exactly", ran)[0] > 1 / 14
        ),
        "Third trap": DEFINITION,
        "Of a thousand attacks on noise, ten look significant at one in a hundred": lambda ran: 1000 // 100 == 10,
        "error of one in a billion": lambda ran: FAMILY_ALPHA == 1e-9,
        "between 0 and 1": DEFINITION,
        "In 400 trials": says("0 of 400: at most 0.0075 exactly"),
        "(95 % sure)": lambda ran: math.isclose((1 - 0.0075) ** 400, 0.05, abs_tol=0.002),
        "The rule of three: after n trials without a hit the rate may still be 3/n": says("three over n: 0.0075"),
        "(1 − p)^400 fall to 5 %": EXAMPLE,
        "Three over n": DEFINITION,
        "the mean of K = 4 updates": rate_within("records K=4", 0.8, 1.0),
        "Four records, 64 units": lambda ran: Setting().hidden == 64,
        "It falls at K = 8": rate_within("records K=8", 0.1, 0.6),
        "is nearly gone at 32": rate_within("records K=32", 0.0, 0.1),
        "How many of 64 hidden units": lambda ran: Setting().hidden == 64,
        "only four records": EXAMPLE,
        "collective custody with t ≥ 2": lambda ran: (
            abs(np.subtract(*printed(r"2-of-5: (\d+) dB .*guessing (\d+)", ran)[0])) <= 1
        ),
        "with t ≥ 2 one share opens nothing": says("coordinator + client, 2-of-5: "),
    },
    "09": {
        "With K = 2 no one need leave": DEFINITION,
        "is at least 3 here": lambda ran: (
            Experiment(clients=3).cohort_floor == 3
            and any("fewer than 3" in r for r in Experiment(clients=3, min_cohort=2).insecure)
        ),
        "with five clients it costs the accuracy": lambda ran: np.subtract(*accuracies(ran)[[0, -1]]) > 0.1,
        "*Does this attack still name its record?* At noise 0.03": naming_rate_printed(0.03, 0.05, 0.2),
        "9 of 100 records are named": says("noise 0.03: ", "named among 100: 9 %"),
        "at 0.3 the attack is at chance": naming_rate_printed(0.3, 0.0, 0.05),
        "0.03 costs no accuracy here": lambda ran: abs(np.subtract(*accuracies(ran)[[0, 1]])) < 0.02,
        "falls as 1/K": DEFINITION,
        "Two questions": DEFINITION,
        "three shares open": says("3 of 5 decrypt: 3 clients and the coordinator"),
        "minus (K − 1)·mean after": DEFINITION,
        "One of five clients sends −4 times its update": lambda ran: (
            (p := inspect.signature(poison).parameters)["factor"].default == -4 and p["clients"].default == 5
        ),
        "e^ε: 2.7 for ε = 1, 20 for 3, beyond counting for 300": lambda ran: (
            round(math.e, 1) == 2.7 and round(math.e**3) == 20 and math.e**300 > 1e130
        ),
        "ε = 1.": EXAMPLE,
        "ε = 300": EXAMPLE,
        "How large is e^300?": EXAMPLE,
    },
    "10": {
        "In lessons 1 to 9": lambda ran: all(
            '"ray"' not in cell.source for name in lessons.names()[:9] for cell in lessons.read(name).cells
        ),
        "half of them, rounded up, in one process": says(
            "houses client-1, client-2, client-3", "houses client-4, client-5"
        ),
        "lets four people be": lambda ran: len([*lessons.FOLDER.glob("roles/*.ipynb")]) == 4,
        "Five clients on a laptop": let("CLIENTS == 5"),
        "three in one, two in the other": says("houses client-1, client-2, client-3", "houses client-4, client-5"),
        "Which three parties always live alone": says("houses kms", "houses coordinator", "houses auditor"),
        "Half of five, rounded up": says("houses client-1, client-2, client-3"),
        "In round 2": says("right after the plan of round 2"),
        "kills a process with three clients": says("killed the process of client-1, client-2, client-3"),
        "the coordinator's and three clients'": EXAMPLE,
        "three shares from three clients": EXAMPLE,
    },
    "11": {
        "in the sum they are gone": says("the sum is right: True"),
        "How many seeds are there for 100 clients": EXAMPLE,
        "each of 100 clients has a pair with 99 others, and each pair is counted twice": lambda ran: (
            100 * 99 // 2 == 4950
        ),
        "100 times 99, and each pair was counted twice": DEFINITION,
        "How many pairs does one client belong to": EXAMPLE,
        "Client 2 committed": let("GONE == 2"),
        "client 2's upload": let("GONE == 2"),
        "One of the two adds them": DEFINITION,
        "adds words of a seed of its own too": DEFINITION,
        "four bytes here": let("uploads[0].itemsize == 4"),
    },
    "12": {
        "In one world client 1 takes part": EXAMPLE,
        "whether client 1 took part, and looks along client 1's own direction": EXAMPLE,
        "with their 95 % intervals": let("at_most(0, 100) < 0.03 < 1 - 0.95"),
        "One round with z = 1 costs ρ = 1/2. With which z do 100 rounds together cost the same": lambda ran: (
            math.isclose(Mechanism(1.0, 1.0, 5).guarantee(1).epsilon, Mechanism(1.0, 10.0, 5).guarantee(100).epsilon)
        ),
        "100/(2z²) = 1/2: the noise grows": DEFINITION,
        "R · 1/(2z²) has to be 1/2.": DEFINITION,
        "The shares of the noise are sized for 5 contributors, and two drop out": let(
            "mechanism.survivors == CLIENTS == 5"
        ),
        "The second audit is above the claim": let("audited(0.25) > claimed > audited(1.0)"),
    },
    "roles": {
        "Four people, four notebooks": lambda ran: len([*lessons.FOLDER.glob("roles/*.ipynb")]) == 4,
        "is at least 3 and lower values are marked": lambda ran: Experiment(clients=3).cohort_floor == 3,
    },
}
