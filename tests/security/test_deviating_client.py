"""One client adds δ to its own c1, in whole runs: everybody else, the coordinator too, is the shipped class.

What is promised under BFV and CKKS collective custody holds while clients follow the protocol, and no longer. These runs show
how far it falls, and what does not fall: another epoch's uploads, and Paillier's key.
"""

from dataclasses import dataclass, field

import gmpy2
import numpy as np
import pytest

from hefl_core.attacks.methods import deviating_client
from hefl_core.checks.claims.ledger import check_claims
from hefl_core.errors import IntegrityError, ParameterError
from hefl_core.federation.client import Client
from hefl_core.ids import COORDINATOR
from hefl_core.keys.custody import ShareHolder
from hefl_core.runtime.run import Run
from hefl_core.schemes.base import CiphertextVector, PartialDecryption
from hefl_core.schemes.paillier import threshold as paillier_threshold
from hefl_core.schemes.paillier.keys import Factors, Modulus, make_primes
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.terms import messages as m
from hefl_core.terms.messages import EncryptedSum
from tests.conftest import SMALL

TOGETHER = SMALL.but(clients=4, model="logistic", scheme="INSECURE_bfv-threshold-1024", custody="3-of-4", rounds=2)
DEVIATING, VICTIM = "client-3", "client-2"


@dataclass
class Deviation:
    """What the client does in a run, and what it took in it."""

    silent: bool
    uploads: dict[tuple[int, str], CiphertextVector] = field(default_factory=dict)
    keys: dict[int, object] = field(default_factory=dict)


def deviate(monkeypatch, *, silent=False, amount=None):
    """Client 3 of every run deviates from now on. The coordinator gives it its bytes, and under ``silent`` the answers first."""
    taken = Deviation(silent)
    encrypt, partials, make = Client._encrypt, Client._partials, Client._make_partial

    def shifting(self, weighted, plan, position):
        vector = encrypt(self, weighted, plan, position)
        taken.uploads[position.round, self.name] = vector
        if self.name != DEVIATING:
            return vector
        return deviating_client.shift(
            vector, deviating_client.delta_for(self.scheme.preset, 3) if amount is None else amount
        )

    def reading(self, position):
        found = partials(self, position)
        if self.name == DEVIATING and not taken.silent:
            total = self.message(position, m.SUM, COORDINATOR, EncryptedSum).total
            taken.keys[position.round] = deviating_client.key_in(total, found)
        return found

    def last(self, position, request):
        if self.name != DEVIATING or not taken.silent:
            return make(self, position, request)
        first = [clients[name].partial_decryption(position).envelope for name in request.active if name != self.name]
        theirs = [PartialDecryption.from_bytes(self.open_content(envelope)) for envelope in first]
        answer = ShareHolder.answer

        def covering(holder, question, **how):
            mine = answer(holder, question, **how)
            key = taken.keys[position.round] = deviating_client.key_in(question.total, [*theirs, mine])
            return deviating_client.cover_up(mine, key, deviating_client.delta_for(self.scheme.preset, 3))

        with pytest.MonkeyPatch.context() as own:
            own.setattr(ShareHolder, "answer", covering)
            return make(self, position, request)

    clients = {}
    monkeypatch.setattr(Client, "_encrypt", shifting)
    monkeypatch.setattr(Client, "_partials", reading)
    monkeypatch.setattr(Client, "_make_partial", last)

    def finish(experiment):
        run = Run(experiment)
        for _ in run.steps():
            clients.update({client.name: client for client in run.parties.clients})
        return run

    return taken, finish


def is_right(run, taken, round_, key_round):
    """Whether the key of one round opens the victim's upload of another: the count exactly, the update to its rounding."""
    scheme, vector = open_scheme(TOGETHER.scheme), taken.uploads[round_, VICTIM]
    opened = deviating_client.open_with(vector, taken.keys[key_round], float(TOGETHER.declared_bound))
    (seen,) = [one for one in run.observer.observations[round_] if one.client == VICTIM]
    error = scheme.sum_error(float(TOGETHER.declared_bound), 1, vector.max_terms)
    truth = np.frombuffer(seen.update) * seen.examples / run.transcript.manifest.examples_max
    return opened is not None and opened.integers[0] == seen.examples and np.max(np.abs(opened.values - truth)) <= error


def test_the_silent_one_reads_every_round_and_every_check_and_claim_holds(monkeypatch):
    taken, finish = deviate(monkeypatch, silent=True)
    run = finish(TOGETHER)
    assert run.transcript.manifest.experiment.rounds_per_epoch == 1
    assert all(is_right(run, taken, round_, round_) for round_ in (1, 2))
    assert not is_right(run, taken, 2, 1) and not is_right(run, taken, 1, 2), "a key for each round: no other round's"
    found = check_claims(run.result())
    assert not found.failed and not run.transcript.left_out, "nobody notices anything"


def test_under_one_key_one_round_opens_the_others(monkeypatch):
    taken, finish = deviate(monkeypatch, silent=True)
    run = finish(TOGETHER.but(epoch_rounds=2))
    assert is_right(run, taken, 2, 1) and is_right(run, taken, 1, 2)


def test_the_control_without_delta_nothing_is_read(monkeypatch):
    taken, finish = deviate(monkeypatch, amount=0)
    run = finish(TOGETHER)
    assert set(taken.keys) == {1, 2} and not any(key.coefficients.any() for key in taken.keys.values())
    assert not any(is_right(run, taken, round_, round_) for round_ in (1, 2))


def test_the_loud_one_stops_the_run_and_has_the_key_all_the_same(monkeypatch):
    taken, finish = deviate(monkeypatch)
    with pytest.raises(IntegrityError, match="noise of block 1: expected at most"):
        finish(TOGETHER)
    assert set(taken.keys[1].coefficients.tolist()) == {-1, 0, 1}
    opened = deviating_client.open_with(taken.uploads[1, VICTIM], taken.keys[1], float(TOGETHER.declared_bound))
    assert opened is not None and opened.integers[1] == 1 and opened.integers[0] > 0


# -- Paillier --------------------------------------------------------------------------------------------------------------


def test_paillier_has_no_rest_that_a_key_could_stand_in():
    """Every unit modulo n² is an encryption of one number, whatever made it, and a product opens to the sum of the two.

    A client multiplies its upload by any unit g. What t holders open is m plus the plaintext of g, as the whole key says of
    each alone, and the product of their powers is 1 modulo n: beside the plaintext nothing is opened. The simulation of a
    power from the plaintext and t - 1 shares (Damgård and Jurik 2001, section 4.1) never asks how a ciphertext was made.
    """
    quorum = Quorum(2, 3)
    p, q = make_primes(512, safe=True)
    modulus, factors, shares = Modulus(p * q), Factors(p, q), paillier_threshold.deal(p, q, quorum)
    units = [modulus.square - 1, gmpy2.mpz(2), modulus.n + 1, *(modulus.full_mask() + k * modulus.n for k in range(20))]
    for plaintext, g in enumerate(units, 1000):
        honest = modulus.encrypt(plaintext)
        product = honest * g % modulus.square
        powers = {
            index: tuple(paillier_threshold.raise_to_share(modulus, quorum, shares[index - 1], [product]))
            for index in (1, 3)
        }
        (opened,) = paillier_threshold.combine(modulus, quorum, powers)
        assert opened == (factors.decrypt(honest) + factors.decrypt(g % modulus.square)) % modulus.n
    assert factors.decrypt(modulus.encrypt(5)) == 5


def test_the_lab_refuses_to_try_it_on_paillier():
    with pytest.raises(ParameterError, match="expected a BFV or CKKS preset"):
        deviating_client.stage("paillier-packed")
