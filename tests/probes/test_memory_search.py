"""The search with fingerprints: it finds every form it knows at every offset, and nothing else."""

import os
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

from hefl_core.errors import ParameterError, RuntimeUnavailable
from hefl_core.keys.identity import Identity
from hefl_core.keys.private_forms import identity_forms, tag_forms
from hefl_core.keys.sum_tag import TagKey, expose_tag_key
from hefl_core.probes import private_forms
from hefl_core.probes.memory import Search
from hefl_core.probes.private_forms import client_fingerprints
from hefl_core.runtime.run import Run
from hefl_core.schemes.onetime.gaussian import gaussian
from hefl_core.schemes.presets import PRESETS
from hefl_core.schemes.private_forms import one_time_forms, share_forms
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.wire.fingerprint import ANCHOR_BYTES, SMALLEST_BITS, Form, Salt
from tests.conftest import SMALL

SALT = Salt(b"test")
RNG = np.random.default_rng(1)
UPDATE = RNG.normal(0, 0.01, 400)


def fingerprints(forms):
    return [SALT.fingerprint(form) for form in forms]


def key_forms(preset, quorum):
    _, shares = open_scheme(preset).keygen(quorum)
    return list(share_forms(shares[0], 3))


def forms_of_everything():
    numbers = private_forms.Numbers("bfv-lean", 4)
    paillier = private_forms.Numbers("INSECURE_paillier-512", 4)
    yield from private_forms.update_forms("update", UPDATE, UPDATE * 0.7, 0.25, numbers, 2, 7)
    yield from private_forms.sum_forms("sum", [UPDATE * 0.6, UPDATE[::-1] * 0.3], 0.25, paillier, 2, 7)
    yield from private_forms.mean_forms("mean", UPDATE * 0.9, 2, 7)
    yield from private_forms.model_forms("model", (UPDATE + 0.5).astype(np.float32), np.full(400, 0.1), 2, 7)
    yield from private_forms.record_forms("records", RNG.normal(size=(5, 30)), 2, 7)
    yield from identity_forms(Identity("client-1", "client"))
    yield from tag_forms(TagKey(), 1)
    for preset, quorum in (
        ("INSECURE_bfv-threshold-1024", Quorum(2, 3)),
        ("bfv-lean", Quorum(1, 3)),
        ("ckks-lean", Quorum(1, 3)),
        ("INSECURE_paillier-512", Quorum(1, 3)),
        ("INSECURE_paillier-512", Quorum(2, 3)),
    ):
        yield from key_forms(preset, quorum)
    preset = PRESETS["INSECURE_onetime-1024"]
    yield from one_time_forms(preset, gaussian(preset.secret_std, preset.secret_limit).draw(preset.degree), "key", 3)


FORMS = list(forms_of_everything())


def test_every_form_is_found_at_every_offset_and_only_that():
    search = Search(SALT, fingerprints(FORMS))
    noise = RNG.bytes(1000)
    data_of = {form.name: form.data for form in FORMS}
    for number, form in enumerate(FORMS):
        found = {data_of[one.name] for one in search.in_bytes(noise[: 100 + number % 8] + form.data + noise)}
        assert form.data in found, form
        assert all(data in form.data for data in found), form
    assert search.in_bytes(RNG.bytes(1 << 20)) == ()


@pytest.mark.parametrize("changes", [{"clip_norm": 0.05}, {"clip_norm": 0.05, "dp_noise": 0.5}, {"bound": "adaptive"}])
def test_a_clients_needles_have_its_update_before_clip_noise_and_rounding(changes, monkeypatch):
    """Each stage is found as it is, weighted, and as float32. Control: without these needles not all of it is."""
    with closing(Run(SMALL.but(model="logistic", rounds=1, **changes), keep_keys=True)) as run:
        list(run.steps())
        client = run.parties.clients[0]
        own, search = client.private_side(), Search(SALT, client_fingerprints(client, SALT, 2, 7))
        found = (own.trained, own.before_noise, own.update if "bound" in changes else None)
        stages = [vector for vector in found if vector is not None]
        leaks = [form for stage in stages for form in (stage, stage * own.share, stage.astype("<f4"))]
        assert leaks and all(search.in_bytes(leak.tobytes()) for leak in leaks)
        monkeypatch.setattr(private_forms, "earlier_forms", lambda *_: ())
        weak = Search(SALT, client_fingerprints(client, SALT, 2, 7))
        assert not all(weak.in_bytes(leak.tobytes()) for leak in leaks)


def test_a_needle_across_two_blocks_is_found(monkeypatch):
    monkeypatch.setattr("hefl_core.probes.memory.BLOCK", 4096)
    form = max(FORMS, key=lambda one: len(one.data))
    search = Search(SALT, [SALT.fingerprint(form)])
    for before in range(4096 - len(form.data) - 8, 4100, 5):
        assert search.in_bytes(bytes(before) + form.data + bytes(5000))


def test_changed_by_one_bit_it_is_not_found():
    for form in FORMS[::7]:
        search = Search(SALT, [SALT.fingerprint(form)])
        changed = bytearray(form.data)
        changed[len(changed) // 2] ^= 1
        assert search.in_bytes(bytes(100) + bytes(changed) + bytes(100)) == ()


def test_needles_are_long_and_various_enough():
    assert all(form.bits >= SMALLEST_BITS and len(form.data) >= ANCHOR_BYTES for form in FORMS)
    assert {form.kind for form in FORMS} >= {
        private_forms.UPDATE,
        private_forms.AGGREGATE,
        private_forms.MODEL,
        private_forms.RECORD,
        "key material",
    }
    with pytest.raises(ParameterError, match="entropy"):
        SALT.fingerprint(Form("x", "short", b"12345678", 64))
    with pytest.raises(ParameterError, match="entropy"):
        SALT.fingerprint(Form("x", "dull", bytes(64), 3))
    assert list(private_forms.mean_forms("zeros", np.zeros(100), 2, 7)) == []
    sparse = np.zeros(4000)
    sparse[::50] = UPDATE[:80]
    assert list(private_forms.mean_forms("sparse", sparse, 2, 7)) == []


def test_neither_a_form_nor_a_fingerprint_shows_the_secret():
    key = TagKey()
    for form in tag_forms(key, 1):
        shown = repr(form) + repr(SALT.fingerprint(form))
        assert form.data.hex() not in shown and repr(form.data)[2:-1] not in shown
    assert expose_tag_key(key)[:8] not in repr(SALT.fingerprint(next(tag_forms(key, 1)))).encode()


HOLDER = """
import mmap, sys
kept = bytes.fromhex(sys.stdin.readline())
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/pagemap"), reason="memory can be read on Linux only")
def test_a_process_that_holds_it_is_found_out_and_one_that_does_not_is_not():
    form, other = FORMS[0], FORMS[-1]
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        holder.stdin.write(form.data.hex() + "\n")
        holder.stdin.flush()
        assert holder.stdout.readline().strip() == "ready"
        try:
            scan = Search(SALT, fingerprints([form, other])).look_into(holder.pid)
        finally:
            holder.communicate("end\n", timeout=20)
    assert {hit.needle for hit in scan.hits} == {form.name}
    assert scan.nbytes > 1 << 20


SHARER = """
import mmap, os, sys
path = sys.argv[1]
handle = os.open(path, os.O_RDWR)
os.unlink(path)
shared = mmap.mmap(handle, 64 << 20)  # never touched here
os.close(handle)
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/pagemap"), reason="memory can be read on Linux only")
def test_pages_of_a_shared_file_that_a_process_never_touched_are_searched_too(tmp_path):
    path = tmp_path / "store"
    with path.open("wb") as file:
        file.truncate(64 << 20)
        file.seek(40 << 20)
        file.write(FORMS[0].data)
        file.flush()
        with subprocess.Popen(
            [sys.executable, "-c", SHARER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as holder:
            assert holder.stdout.readline().strip() == "ready"
            try:
                scan = Search(SALT, fingerprints(FORMS[:1])).look_into(holder.pid)
            finally:
                holder.communicate("end\n", timeout=20)
    assert [hit.needle for hit in scan.hits] == [FORMS[0].name] and "store" in scan.hits[0].mapping
    assert 0 < scan.shared < 8 << 20


def test_a_process_that_is_not_there_is_refused():
    with pytest.raises(RuntimeUnavailable, match="process"):
        Search(SALT, fingerprints(FORMS[:1])).look_into(2**22 + 1)
