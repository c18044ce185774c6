"""Doors with a fault each: what a sweep must find. Imported by child processes, by name."""

import os
import signal
import time

from hefl_core.checks.damage.outcomes import Bench, Target
from hefl_core.errors import WireError

VALID = b"a valid input of some length"


def bench(on_damage):
    def door(data):
        return data if data == VALID else on_damage(data)

    return lambda: Bench((VALID,), door, (VALID,))


def refuse(data):
    raise WireError("not what I wrote")


def forget(data):
    raise KeyError("nobody caught me")


def crash(data):
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(data):
    time.sleep(600)


def unpack(data):
    return bytes(8 << 30)


def targets():
    return (
        Target("good", "good", bench(refuse)),
        Target("tolerant", "tolerant", bench(lambda data: VALID)),
        Target("gullible", "gullible", bench(lambda data: data)),
        Target("careless", "careless", bench(forget)),
        Target("greedy", "greedy", bench(unpack)),
        Target("fragile", "fragile", bench(crash)),
    )


def stuck():
    return (Target("stuck", "stuck", bench(hang)),)


def unfair():
    """Its door refuses everything, the undamaged input too."""
    return (Target("unfair", "unfair", lambda: Bench((VALID,), refuse, (VALID,))),)
