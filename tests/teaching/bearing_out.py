"""What a stated number may rest on: a reason, or a function of the executed lesson that says whether it is true."""

import re

import numpy as np

from hefl_core.attacks.lab import COORDINATOR
from hefl_core.attacks.rates import measured
from hefl_core.schemes.presets import PRESETS
from hefl_core.teaching import lessons

DEFINITION = "what a word, a rule or a formula means"
EXAMPLE = "an exercise's own givens; its answer is computed from them"
SOURCE = "from the source that is named beside it"


def says(*parts):
    """That the lesson's cells printed each of these, with any run of spaces between words."""
    patterns = [re.compile(r"\s+".join(map(re.escape, part.split()))) for part in parts]
    return lambda ran: all(pattern.search(ran.printed) for pattern in patterns)


def printed(pattern, ran):
    """All numbers that this pattern's groups catch in what was printed."""
    found = re.findall(pattern, ran.printed)
    assert found, f"nothing printed like {pattern}"
    return np.array(found, dtype=float)


def let(expression):
    """That an expression over the lesson's names at its end is true."""
    return lambda ran: bool(eval(expression, {**vars(np), "len": len, "set": set}, dict(ran.names)))  # our own text


def preset(name, **fields):
    """That a preset has these numbers."""
    return lambda ran: all(getattr(PRESETS[name], field) == value for field, value in fields.items())


def ratio(one, other, low, high):
    """That two catches have a ratio between these."""
    return lambda ran: low <= printed(one, ran)[0] / printed(other, ran)[0] <= high


def errors_cancel(ran):
    """One bit per doubling of one ciphertext, about half a bit per doubling of their number."""
    worn = ran.names["worn"]
    doubled = np.diff([point.bits for point in worn.doubled[:6]])
    apart = [point.bits for point in worn.independent]
    return np.allclose(doubled, -1, atol=0.15) and 0.35 < (apart[0] - apart[-1]) / (len(apart) - 1) < 0.65


def four_fold_is_two_fold(ran):
    """Three times four-fold the terms is about three times twice the noise."""
    grown = dict(printed(r"(\d+) terms: noise has standard deviation +([\d.]+)", ran))
    return 6 < grown[64] / grown[1] < 10


def lines_that_encrypt(ran):
    """The toy's encrypting and opening takes at most ten lines."""
    source = "\n".join(cell.source for cell in lessons.read("04").cells if not cell.markdown)
    body = [re.search(rf"def {name}\(.*?(?=\n\n|\Z)", source, re.DOTALL)[0] for name in ("times", "encrypt", "phase")]
    return sum('"""' not in line for part in body for line in part.splitlines()) <= 10


def rate_within(name, low, high):
    """That a rate of hefl_core/attacks/rates.json (at least 100 records) lies between these, its interval too."""

    def holds(ran):
        rate = measured().rates[name]
        return rate.trials >= 100 and low <= rate.low <= rate.high <= high

    return holds


def from_three_seats(ran):
    """That the update, the mean and the noised update name their records far above chance, and ciphertext does not."""
    rates = {rate.seat: rate for rate in ran.names["rates"]}
    return len(rates) == 4 and all((rate.p_value < 1e-9) == (name != COORDINATOR) for name, rate in rates.items())


def named_after_noise(low, high):
    """That so many records are named from the noised update, from pictures near 10 dB."""

    def holds(ran):
        rate = ran.names["rates"][-1]
        return rate.records == 100 and low <= rate.named <= high and 9 < rate.psnr < 11

    return holds


def naming_rate_printed(noise, low, high):
    """That the share of 100 records which this noise leaves nameable, as printed, lies between these."""
    return lambda ran: low <= printed(rf"noise {noise}: .* 100 records: .*among 100: (\d+) %", ran)[0] / 100 <= high


def accuracies(ran):
    """Accuracy at each noise, first without any."""
    return printed(r"noise \S+: ε.* accuracy ([\d.]+);", ran)


def messages(ran):
    """Three kinds of message once for each client, four kinds once."""
    transcript, clients = ran.names["transcript"], ran.names["CLIENTS"]
    steps = [sent.step for sent in transcript.of_round(1)]
    return sorted(map(steps.count, set(steps))) == [1] * 4 + [clients] * 3
