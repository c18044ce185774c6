"""Sizes that the agreed terms fix: every honest message has them, and there is no room beside them."""

import pytest

from hefl_core.runtime.launch import run_experiment
from hefl_core.schemes.presets import PRESETS
from hefl_core.terms import messages as m
from hefl_core.terms.agreed_sizes import blocks_of, content_nbytes, upload_nbytes
from hefl_core.terms.experiment import Experiment
from hefl_core.wire.limits import MAX_BODY_BYTES

BASE = Experiment(dataset="breast_cancer", model="logistic", scheme="INSECURE_bfv-1024", clients=3, rounds=1)
RUNS = {
    "plaintext": BASE.but(scheme="plaintext"),
    "bfv": BASE,
    "adaptive": BASE.but(bound="adaptive"),
    "several blocks": BASE.but(dataset="digits", model="mlp"),
    "seeded": BASE.but(scheme="bfv-compact-2048-seeded"),
    "ckks": BASE.but(scheme="INSECURE_ckks-1024"),
    "compressed": BASE.but(scheme="ckks-lean"),
    "paillier": BASE.but(scheme="INSECURE_paillier-512"),
    "threshold": BASE.but(scheme="INSECURE_bfv-threshold-1024", custody="2-of-3"),
    "threshold ckks": BASE.but(scheme="INSECURE_ckks-threshold-1024", custody="dealer-free:2-of-3"),
    "one-time": BASE.but(scheme="INSECURE_onetime-1024"),
    "one-time together": BASE.but(scheme="INSECURE_onetime-1024", custody="2-of-3"),
    "one-time, several blocks": BASE.but(scheme="INSECURE_onetime-1024", dataset="digits", model="mlp"),
    "threshold paillier": BASE.but(scheme="INSECURE_paillier-512", custody="2-of-3"),
}


COMPRESSED = {"ckks", "compressed"}


@pytest.mark.parametrize("kind", RUNS)
def test_every_message_of_a_client_has_the_agreed_size(kind):
    experiment = RUNS[kind]
    transcript = run_experiment(experiment).transcript
    parameters, looked_at = transcript.manifest.parameters, set()
    for sent in (one for one in transcript.sent if one.sender.startswith("client") and one.position.round):
        header = sent.head.header
        least, most = content_nbytes(sent.step, experiment, parameters, sent.position)
        assert least <= header.content_nbytes <= most
        assert header.blocks == blocks_of(sent.step, experiment, parameters)
        # the widths of numbers that could be past 127 are all that is free, and what SEAL compresses
        numbers = 1 + experiment.quorum.threshold
        assert most - least <= (most // 4 if kind in COMPRESSED else 2 * numbers)
        looked_at.add(sent.step)
    together = {m.READY, m.PARTIAL} if experiment.quorum.collective else set()
    assert looked_at == {m.COMMITMENT, m.UPDATE, m.RECEIPT} | together


@pytest.mark.parametrize("preset", PRESETS)
def test_a_million_parameters_fit_into_one_message(preset):
    """The largest body is as large as the least compact preset needs (wire/limits.py)."""
    _, most = upload_nbytes(BASE.but(scheme=preset), 10**6, 1)
    assert most <= MAX_BODY_BYTES
