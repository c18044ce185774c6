"""Where each number comes from that docs/attacks.md, docs/teaching.md and the pages state about an attack.

A phrase stands word for word in the text (spaces count once). ``⟨case|form⟩`` in it is a measured rate of
hefl_core/attacks/rates.json in one of the forms below, so a sentence whose number was measured anew must be written anew.
A phrase without one is a definition, an example's own givens, or names the test that measures it.
"""

import re

from hefl_core.attacks.rates import measured
from hefl_core.attacks.scoring import wilson

DEFINITION = "what a word, a rule or a parameter means"
CHANCE = "docs/chance.md, made by benchmarks/chance.py"
CRYPTOGRAPHY = "tests/attacks/test_on_cryptography.py, test_related.py and test_delta.py"
LIES = "tests/checks/test_lying_clients.py"
PUBLISHED = "tests/attacks/test_cross_checks.py, with its source"
RUN = "tests/attacks/test_on_run.py"
_PLACE = re.compile(r"⟨([^|⟩]+)\|([^⟩]+)⟩")


def _percent(value):
    return f"{100 * value:.0f}"


def _fraction(value, places=2):
    return f"{value:.{places}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.{places}f}"


def _ends(rate):
    """The interval. Where all trials agree a bootstrap's has no width: then Wilson's of as many trials."""
    return (rate.low, rate.high) if rate.low < rate.high else wilson(rate.value * rate.trials, rate.trials)


FORMS = {
    "%": lambda r: "{} % ({} to {})".format(*map(_percent, (r.value, *_ends(r)))),
    "%alone": lambda r: f"{_percent(r.value)} %",
    "by guessing": lambda r: f"{_percent(r.prior)} %",
    "of": lambda r: f"{r.value * r.trials:.0f} of {r.trials}",
    "dB": lambda r: f"{r.value:.0f} dB ({r.low:.0f} to {r.high:.0f})",
    "prior dB": lambda r: f"{r.prior:.0f} dB",
    "dB alone": lambda r: f"{r.value:.0f} dB",
    "AUC": lambda r: "{} ({} to {})".format(*map(_fraction, (r.value, *_ends(r)))),
    "error": lambda r: f"{_fraction(r.value, 3)} ({_fraction(r.low, 3)} to {_fraction(r.high, 3)})",
    "error alone": lambda r: _fraction(r.value, 3),
    "prior": lambda r: _fraction(r.prior, 3),
    "count": lambda r: f"{r.value:.0f} of {r.trials}",
    "trials": lambda r: f"{r.trials}",
}
"""How a rate is written."""


def worded(phrase):
    """The phrase with every rate as measured last."""
    rates = measured().rates
    return _PLACE.sub(lambda found: FORMS[found[2]](rates[found[1]]), phrase)


def cases(phrase):
    """The cases that a phrase rests on."""
    return [found[1] for found in _PLACE.finditer(phrase)]


STATED = {
    "attacks.md": {
        "with a 95 % interval (Wilson": DEFINITION,
        "there are at least 400 trials": CHANCE,
        "at a family-wise α of 10⁻⁹": "hefl_core/attacks/result.py, FAMILY_ALPHA",
        "draws 2,000 of each under the null hypothesis": "tests/attacks/test_calibration.py",
        "the tail below .01 included": "tests/attacks/test_calibration.py",
        "its p-values above .01": "tests/attacks/test_calibration.py",
        "right for ⟨label digits|%⟩ of 200 records, digits and breast_cancer alike (another's: "
        "⟨label digits|by guessing⟩, ⟨label breast_cancer|by guessing⟩)": "",
        "⟨label coordinator|%⟩ of 400 (another's: ⟨label coordinator|by guessing⟩)": "",
        "(16 records)": DEFINITION,
        "⟨label-counts|%⟩ of the labels of 100 batches (another batch's: ⟨label-counts|by guessing⟩)": "",
        "100 records each: ⟨record|dB⟩ on digits (another's: ⟨record|prior dB⟩), ⟨patient|dB⟩ on breast_cancer "
        "(⟨patient|prior dB⟩)": "",
        "of the records of 100 batches, B = 1: ⟨records B=1|%⟩, 2: ⟨records B=2|%⟩, 4: ⟨records B=4|%⟩, "
        "8: ⟨records B=8|%⟩": "",
        "of the records of 100 batches, B = 4: ⟨imprint B=4|%⟩, 16: ⟨imprint B=16|%⟩, 64: ⟨imprint B=64|%⟩ "
        "(guessing at 64: ⟨imprint B=64|by guessing⟩)": "",
        "algorithm 1; Geiping … , equation 4": DEFINITION,
        "100 records, B = 1, sigmoid MLP: ⟨inversion|dB⟩ (another's: ⟨inversion|prior dB⟩)": "",
        "100 pictures 28 × 28, fresh model, one step on one picture: ⟨pictures: plain|dB⟩ (another's: "
        "⟨pictures: plain|prior dB⟩), ⟨pictures named: plain|%⟩ named among 100": "",
        "400 pictures: ⟨pictures: coordinator|dB⟩ (another's: ⟨pictures: coordinator|prior dB⟩), "
        "⟨pictures named: coordinator|%⟩ named among 100": "",
        "100 letters, one step on one letter: ⟨letters: plain|%⟩ of the words (another's: ⟨letters: plain|by guessing⟩), and "
        "⟨letters whole: plain|%⟩ of the letters in full": "",
        "words of 400 letters: ⟨letters: coordinator|%⟩ (another's: ⟨letters: coordinator|by guessing⟩)": "",
        "(letters, … ) | Petrov … (DAGER, arXiv 2405.15586)": DEFINITION,
        "Of 100 updates each, words named": DEFINITION,
        "batches of 2: ⟨letters: B=2|%⟩ (⟨letters: B=2|by guessing⟩), 4: ⟨letters: B=4|%⟩ (⟨letters: B=4|by guessing⟩), "
        "8: ⟨letters: B=8|%⟩ (⟨letters: B=8|by guessing⟩), 16: ⟨letters: B=16|%⟩ (⟨letters: B=16|by guessing⟩), "
        "32: ⟨letters: B=32|%⟩ (⟨letters: B=32|by guessing⟩), 64: ⟨letters: B=64|%⟩ (⟨letters: B=64|by guessing⟩)": "",
        "A vector has 128 numbers": "hefl_core/learning/models.py, model_for",
        "after 2 steps ⟨letters: E=2|%⟩, 4 steps ⟨letters: E=4|%⟩, 8 steps ⟨letters: E=8|%⟩": "",
        "with a model trained 5 passes before ⟨letters: trained 5|%⟩": "",
        "From the decrypted mean of 5 clients come ⟨letters: mean of 5|%⟩ of a victim's words, but only "
        "⟨letters right: mean of 5|%⟩ of the words": "",
        "noise of .001 of the clip per entry ⟨letters: noise 0.001|%⟩ (⟨letters: noise 0.001|by guessing⟩), with .003 "
        "⟨letters: noise 0.003|%⟩ (⟨letters: noise 0.003|by guessing⟩), with .01 ⟨letters: noise 0.01|%⟩ "
        "(⟨letters: noise 0.01|by guessing⟩)": "",
        "gives the same gradient to 1e-9": "tests/attacks/test_dager.py",
        "Of at least 100 pictures each, named among 100 (a blind guess: 1 %)": DEFINITION,
        "(SoK, arXiv 2404.05403)": DEFINITION,
        "(mnist-5000, … ) | Geiping … , equation 4": DEFINITION,
        "gray pictures of mnist-5000": DEFINITION,
        "the decrypted mean of 5 clients ⟨pictures named: mean of 5|%⟩": "",
        "a model trained 5 passes before ⟨pictures named: trained 5|%⟩": "",
        "updates of 5 steps ⟨pictures named: E=5|%⟩": "",
        "batches of 2 ⟨pictures named: B=2|%⟩": "",
        "batches of 4 ⟨pictures named: B=4|%⟩": "",
        "batches of 8 ⟨pictures named: B=8|%⟩": "",
        "among the 50 of each of 100 clients, mean error: ⟨property|error⟩ (saying one half: ⟨property|prior⟩)": "",
        "AUC ⟨membership|AUC⟩, ⟨membership|trials⟩ members of 8 updates": "",
        "AUC ⟨membership coordinator|AUC⟩, ⟨membership coordinator|trials⟩ members": "",
        "In brackets: 95 % intervals": DEFINITION,
        "at least 100 records of digits": "test_every_phrase_rests_on_a_rate_of_enough_records_or_on_a_reason",
        "with seed 7": DEFINITION,
        "*names its record among 100* another. Of 100 single records": DEFINITION,
        "named among 100 (a blind guess: 1 %)": DEFINITION,
        "the plain update | ⟨named plain|%⟩": "",
        "bytes of it | ⟨named coordinator|%⟩": "",
        "the decrypted mean of 5 | ⟨named mean of 5|%⟩": "",
        "with noise of .003 of the clip per entry | ⟨named noise 0.003|%⟩": "",
        "noise .01 (median ⟨dB noise 0.01|dB alone⟩) | ⟨named noise 0.01|%⟩": "",
        "noise .02 | ⟨named noise 0.02|%⟩": "",
        "noise .03 (median ⟨dB noise 0.03|dB alone⟩) | ⟨named noise 0.03|%⟩": "",
        "noise .05 | ⟨named noise 0.05|%⟩": "",
        "noise .1 (median ⟨dB noise 0.1|dB alone⟩) | ⟨named noise 0.1|%⟩": "",
        "so three attacks apply": DEFINITION,
        "run, round 1": DEFINITION,
        "12 clients, α = 0.05, plaintext | coordinator, auditor | ⟨run uneven: property|error alone⟩ "
        "(⟨run uneven: property|prior⟩) | ⟨run uneven: membership|AUC⟩ | ⟨run uneven: records|count⟩": "",
        "all of the clients with two": RUN,
        "no better than guessing | .5 | 0 |": RUN,
        "5 equal clients, plaintext; or encrypted and coordinator + client 1 under individual custody": RUN,
        "⟨run equal: property|error alone⟩ (⟨run equal: property|prior⟩) | ⟨run equal: membership|AUC⟩ | "
        "⟨run equal: records|count⟩": "",
        "six steps on 91 records mix them": RUN,
        "the same, 3 of 5, coordinator + 2 clients | coalition | the mean of the other three, no single update | "
        ".61 (p = .003) | 0": RUN,
        "Of 100 victims' records come back ⟨records K=2|%⟩ at K = 2, ⟨records K=4|%⟩ at 4, ⟨records K=8|%⟩ at 8, "
        "⟨records K=16|%⟩ at 16": "",
        "Membership, 128 members: AUC ⟨membership K=2|AUC⟩ at 2, ⟨membership K=4|AUC⟩ at 4, ⟨membership K=8|AUC⟩ at 8, "
        "⟨membership K=16|AUC⟩ at 16, ⟨membership K=32|AUC⟩ at 32": "",
        "(a coin: .5)": DEFINITION,
        "between two rounds among 20 in ⟨differencing|%⟩ of ⟨differencing|trials⟩ trials": "",
        "(guessing: 5 %)": DEFINITION,
        "AUC ⟨loss|AUC⟩": "",
        "16 shadow models, trained once and kept) AUC ⟨lira|AUC⟩": "",
        "every update to 5e-9": CRYPTOGRAPHY,
        "draws 100 digits: ⟨exponents|%⟩ of their pixels | integers of one scale: ⟨exponents ours|%⟩": "",
        "303 of 303 words of it": CRYPTOGRAPHY,
        "a one-time key used twice: 152 of 152 words of the difference of two updates, from two uploads and no key; "
        "under two keys 0 |": ("tests/attacks/test_key_reuse.py"),
        "with a key for each round 0 |": CRYPTOGRAPHY,
        "20 of 20 rounds; it opens 8 of 8 honest uploads of two rounds, with a key for each round the 4 of its own": CRYPTOGRAPHY,
        "the control: 0.": CRYPTOGRAPHY,
        "six forged sums pass": CRYPTOGRAPHY,
        "runs twelve lies": LIES,
        "ten times the update": LIES,
        "-4 times the update (accuracy after two rounds .097, .325, .403 and .111; all honest .400)": LIES,
        "With a clip of .25": LIES,
        ".25033 here, they find 17.5 and 1.24": LIES,
        "(iDLG, arXiv … .02610), table 1": PUBLISHED,
        "right in 100.0 % of cases on MNIST, CIFAR-100 and LFW (DLG: 89.9, 83.3 and 79.1 %)": PUBLISHED,
        "Here: ⟨label digits|of⟩ on digits": "",
        "from algorithm 1 of Carlini": DEFINITION,
        "differentiation to 1e-9": "tests/learning/test_keras_gradients.py",
        "(1.00 / .88 / .62 for one update, a sum of 4, a sum of 16)": "another code base's, named there as no independent source",
        "⟨membership K=2|AUC⟩ at K = 2, ⟨membership K=4|AUC⟩ at 4 and ⟨membership K=16|AUC⟩ at 16. That": "",
        "400 times where a run gives five messages": CHANCE,
        "8,450 an update": CHANCE,
        "were run 400 times under it too": CHANCE,
        "were run 400 times under … only": CHANCE,
    },
    "teaching.md": {
        "0-1 | [Start": DEFINITION,
        "1-3 | [Attack lab": DEFINITION,
        "3-5 | [Guarantees": DEFINITION,
        "of batches of 4, ⟨records B=4|%⟩ of the records": "",
        "of six steps on 91 records, none whole": RUN,
        "but membership still leaks (AUC ⟨run equal: membership|AUC⟩)": "",
        "Encrypting twice": DEFINITION,
        "With t of n, t − 1 learn": DEFINITION,
        "at noise .01 of the clip pictures lie near ⟨dB noise 0.01|dB alone⟩, and ⟨named noise 0.01|%⟩ name their record "
        "among 100": "",
        "(a blind guess: 1 %)": DEFINITION,
    },
    "pages": {
        "From one update of 16 records, from the mean of five": DEFINITION,
        "mean of 5 ciphertext": DEFINITION,
        "0.50 is a coin, 1 is always": DEFINITION,
        "A blind guess names 1 in …": DEFINITION,
        "Attacking 400 candidates": CHANCE,
        "four records each": DEFINITION,
        "one in …, so the rate is over … records, with its 95 % interval": DEFINITION,
        "to the second half of": DEFINITION,
        "less one's own half is the other's update": DEFINITION,
        "found among 20": DEFINITION,
        "five clients, two rounds, client 1 cheats": DEFINITION,
        "at α = 10⁻⁹": "hefl_core/attacks/result.py, FAMILY_ALPHA",
        "Training five rounds": DEFINITION,
        "refused by 0,": DEFINITION,
        "over five rounds": DEFINITION,
        "above 30 dB it is the record": "hefl_core/attacks/scoring.py, MATCH_DB",
        "The third lets TensorFlow": DEFINITION,
        "CC BY 4.0": DEFINITION,
        "in 95 of 100 cases": "hefl_core/figures/leak.py, computed on the page",
        "subtracts its own half": DEFINITION,
    },
}
"""Text → phrase → where its number comes from; empty where the phrase holds a measured rate."""
