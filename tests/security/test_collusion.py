"""Who can open an update together: the coordinator and one client under individual custody, t holders otherwise."""

import numpy as np
import pytest

from hefl_core.errors import HeflError, IntegrityError, QuorumError
from hefl_core.schemes.base import CiphertextVector, PartialDecryption, expose_secret
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import pairwise, rlwe, shamir
from hefl_core.wire.canonical import decode
from hefl_core.wire.envelope import Position
from tests.conftest import SMALL, finished


def victims_upload(run):
    """Client 2's ciphertext, as the coordinator has it; and what client 2 encrypted."""
    seen = next(
        s for s in run.transcript.seen_by("coordinator") if s.sent.step == "update" and s.sent.sender == "client-2"
    )
    truth = next(o for o in run.observer.observations[1] if o.client == "client-2")
    weighted = np.frombuffer(truth.update) * (truth.examples / run.transcript.manifest.examples_max)
    return decode(seen.content, CiphertextVector), weighted, truth.examples


def test_coordinator_and_one_client_open_everything_under_individual_custody():
    run = finished(SMALL.but(rounds=1), keep_keys=True)
    vector, truth, examples = victims_upload(run)
    share = run.parties.clients[0].enrolment.share
    scheme = open_scheme("bfv-lean")
    opened = scheme.open(run.parties.coordinator.public_key, vector, [scheme.partial_decrypt(share, vector, (1,))])
    assert np.max(np.abs(opened.values - truth)) <= scheme.sum_error(1.0, 1, 3)
    assert opened.integers[0] == examples


@pytest.fixture(scope="module")
def together():
    experiment = SMALL.but(
        scheme="INSECURE_bfv-threshold-1024", custody="3-of-5", clients=5, rounds=1, model="logistic"
    )
    return finished(experiment, keep_keys=True)


def opened_with(run, vector, holders, active):
    """Whatever these holders' state gives, by the scheme's own functions and without the rules of keys/decryption_policy.py."""
    scheme = open_scheme("INSECURE_bfv-threshold-1024")
    shares = [run.parties.clients[index - 1].enrolment.share for index in holders]
    partials = [scheme.partial_decrypt(share, vector, active) for share in shares]
    return scheme.open(run.parties.coordinator.public_key, vector, partials)


def test_t_holders_and_the_coordinator_do_open_it(together):
    """Positive control: the same code, one holder more."""
    vector, truth, _ = victims_upload(together)
    opened = opened_with(together, vector, (1, 3, 4), (1, 3, 4))
    assert np.max(np.abs(opened.values - truth)) < 1e-3


def test_t_minus_one_holders_and_the_coordinator_are_refused(together):
    vector, _, _ = victims_upload(together)
    with pytest.raises(QuorumError) as caught:
        opened_with(together, vector, (1, 3), (1, 3, 4))
    assert (caught.value.have, caught.value.need) == (2, 3)
    with pytest.raises(HeflError):
        opened_with(together, vector, (1, 3), (1, 3))


@pytest.mark.parametrize("points", [(1, 3), (1, 3, 4)])
def test_raw_shares_give_the_key_from_t_on_only(together, points):
    """Without any of our code in the way: interpolate whatever raw shares there are and look whether the key is small."""
    ring = open_scheme("INSECURE_bfv-threshold-1024").ring
    primes = rlwe.data_primes(ring)
    total = None
    for index in points:
        material = expose_secret(together.parties.clients[index - 1].enrolment.share)
        share = shamir.from_bytes(pairwise.split(material, primes, ring.degree)[0], primes, ring.degree, "share")
        term = shamir.scale(share, [shamir.lagrange(points, index, p) for p in primes], primes)
        total = term if total is None else shamir.add(total, term, primes)
    words = rlwe.inverse_ntt(total, primes)[0].astype(np.int64)
    small = int(np.sum((words <= 1) | (words == primes[0] - 1)))
    assert small == ring.degree if len(points) == 3 else small < ring.degree // 100


def test_a_corrupted_partial_is_detected_never_a_wrong_number(together):
    vector, _, _ = victims_upload(together)
    scheme = open_scheme("INSECURE_bfv-threshold-1024")
    key = together.parties.coordinator.public_key
    shares = [together.parties.clients[index - 1].enrolment.share for index in (1, 3, 4)]
    good = [scheme.partial_decrypt(share, vector, (1, 3, 4)) for share in shares]
    right, client = scheme.open(key, vector, good), together.parties.clients[0]
    client.enrolment.tag_key.check(right, ["client-2"], client.manifest.id, Position(1, 1))
    block, refused = good[0].blocks[0], 0
    for place in range(40, len(block), len(block) // 19):
        changed = bytearray(block)
        changed[place] ^= 0x15
        bad = PartialDecryption(
            good[0].key_id, 1, good[0].active, good[0].total_digest, (bytes(changed), *good[0].blocks[1:])
        )
        try:
            opened = scheme.open(key, vector, [bad, *good[1:]])
        except HeflError:
            refused += 1
            continue
        if not np.array_equal(opened.values, right.values):  # one damaged word can hide in the noise: the tag sees it
            with pytest.raises(IntegrityError, match="tag"):
                client.enrolment.tag_key.check(opened, ["client-2"], client.manifest.id, Position(1, 1))
            refused += 1
    assert refused >= 10
