"""What lies in the memory of the parties' processes, and what does not. Each search that finds nothing has a control."""

import os

import numpy as np
import pytest

from hefl_core.probes.memory import Search
from hefl_core.runtime.ray import actors
from hefl_core.runtime.run import Run
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import pairwise, rlwe, shamir
from hefl_core.terms.experiment import Experiment
from hefl_core.wire.fingerprint import Form, Salt

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.skipif(not os.path.exists("/proc/self/pagemap"), reason="memory can be read on Linux only"),
]
PRESET = "INSECURE_bfv-threshold-1024"


def open_house():
    """A host that a test may look into, and may plant something in. Made here so that it travels by value."""

    class OpenHouse(actors.PartyHost):
        def share_of(self, name):
            from hefl_core.schemes.base import expose_secret

            return expose_secret(self._parties[name].enrolment.share)

        def plant(self, data):
            self._planted = bytearray(data)
            return len(self._planted)

    return OpenHouse


def joint_key(ring, shares):
    """The key in NTT form from three shares: made in the test's own process, after the fact."""
    primes = rlwe.data_primes(ring)
    total = None
    for index, material in shares.items():
        share = shamir.from_bytes(pairwise.split(material, primes, ring.degree)[0], primes, ring.degree, "share")
        term = shamir.scale(share, [shamir.lagrange(shares, index, p) for p in primes], primes)
        total = term if total is None else shamir.add(total, term, primes)
    return total


def needles_of(key, ring):
    """Several places of the key, as SEAL holds it (NTT words) and as small coefficients."""
    primes = rlwe.data_primes(ring)
    small = rlwe.inverse_ntt(key, primes)[0].astype(np.int64)
    signed = np.where(small > primes[0] // 2, small - primes[0], small).astype(np.int64)
    assert set(np.unique(signed)) <= set(range(-5, 6)), "the reconstructed key is not small: the test is wrong"
    places = range(0, ring.degree - 64, ring.degree // 4)
    forms = [Form("joint key", f"ntt words at {at}", key[0, at : at + 8].astype("<u8").tobytes(), 400) for at in places]
    for kind, count in (("<i8", 48), ("i1", 64)):
        forms += [
            Form("joint key", f"{kind} at {at}", signed[at : at + count].astype(kind).tobytes(), 1.5 * count)
            for at in places
        ]
    return forms


@pytest.fixture(scope="module")
def looked_into():
    experiment = Experiment(scheme=PRESET, custody="dealer-free:3-of-4", clients=4, rounds=2, model="logistic")
    run = Run(experiment, "ray", clients_per_host=1, keep_keys=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(actors, "PartyHost", open_house())
        for _ in run.steps():
            pass
    ray = actors.ray
    shares = {
        number: ray.get(client.host.share_of.remote(client.name), timeout=60)
        for number, client in enumerate(run.parties.clients[:3], start=1)
    }
    ring = open_scheme(PRESET).ring
    yield run, needles_of(joint_key(ring, shares), ring), ray
    run.close()


def pids_of(run):
    return [host.pid for host in run.hosts]


def test_no_process_holds_the_whole_key_and_a_planted_one_is_found(looked_into):
    run, needles, ray = looked_into
    search = Search(Salt(os.urandom(16)))
    search.add(search.salt.fingerprint(form) for form in needles)
    others = [pid for pid in pids_of(run) if pid != os.getpid()]
    assert [hit for pid in others for hit in search.look_into(pid).hits] == []
    coordinator = run.parties.coordinator
    ray.get(coordinator.host.plant.remote(needles[0].data), timeout=60)
    planted = next(host.pid for host in run.hosts if "coordinator" in host.parties)
    assert {hit.needle for hit in search.look_into(planted).hits} == {needles[0].name}
