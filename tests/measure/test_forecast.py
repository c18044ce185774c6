"""Forecasts: bytes to the byte, CPU within what a busy machine allows (benchmarks/forecast.py measures it properly)."""

import json
import statistics

import pytest

from hefl_core.measure.calibration import FittedLine, calibrate, units
from hefl_core.measure.forecast import forecast
from hefl_core.measure.sizes import round_bytes
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.result import outlook_of, with_forecast
from hefl_core.schemes.presets import PRESETS
from hefl_core.schemes.registry import block_count, load_preset
from hefl_core.terms.experiment import Experiment

SMALL = Experiment(dataset="breast_cancer", model="logistic", clients=3, rounds=2)


@pytest.mark.parametrize(
    ("scheme", "custody", "clients"),
    [
        ("plaintext", "individual", 3),
        ("bfv-lean", "individual", 5),
        ("bfv-compact", "individual", 11),
        ("bfv-compact-2048-seeded", "individual", 3),
        ("INSECURE_paillier-512", "individual", 4),
        ("INSECURE_bfv-threshold-1024", "3-of-5", 5),
        ("INSECURE_ckks-1024", "individual", 3),
        ("INSECURE_onetime-1024", "3-of-5", 5),
    ],
)
def test_bytes_are_what_the_wire_carries(scheme, custody, clients):
    experiment = SMALL.but(scheme=scheme, custody=custody, clients=clients, model="mlp")
    result = run_experiment(experiment)
    said = round_bytes(experiment, result.parameters)
    slack = 0.003 * said.up if load_preset(scheme).family == "ckks" else 2
    first, second = (item.bytes for item in result.rounds)
    assert abs(said.up - second.upload_per_client) <= slack
    assert abs(said.down - second.download_per_client) <= slack + 2
    assert abs(said.down + said.first_extra - first.download_per_client) <= slack + 4


def test_bytes_at_the_coordinator_are_counted_from_the_same_messages():
    experiment = SMALL.but(clients=4)
    result = run_experiment(experiment)
    said = round_bytes(experiment, result.parameters)
    sent = result.transcript.of_round(2)
    assert abs(said.coordinator_in - sum(s.nbytes for s in sent if "coordinator" in s.receivers)) <= 16
    out = sum(s.nbytes * len(s.receivers) for s in sent if s.sender == "coordinator")
    assert abs(said.coordinator_out - out) <= 64


@pytest.mark.parametrize("name", [name for name in PRESETS if PRESETS[name].family != "plaintext"])
def test_block_counts_are_the_schemes(name):
    from hefl_core.measure.sizes import INTEGERS
    from hefl_core.schemes.registry import open_scheme

    preset = load_preset(name)
    if preset.family == "paillier":
        assert block_count(preset, 100) == open_scheme(name).words.layout.block_count(100, INTEGERS, preset.tagged)
    else:
        assert block_count(preset, 1) == 1 + (preset.family == "onetime")  # one with the key, one with the update
        assert block_count(preset, 10**6) > block_count(preset, 10**5)


@pytest.mark.slow
def test_a_round_costs_about_what_was_forecast():
    errors = []
    for scheme, clients in (("bfv-lean", 5), ("plaintext", 6), ("INSECURE_paillier-512", 4)):
        result = run_experiment(SMALL.but(scheme=scheme, clients=clients, rounds=4, dataset="digits", model="mlp-large"
                                          if scheme != "INSECURE_paillier-512" else "mlp"))  # fmt: skip
        errors.append(outlook_of(result).error.cpu)
    assert statistics.median(errors) < 0.6, errors


def test_larger_models_and_cohorts_cost_more():
    one = forecast(SMALL, 10_000)
    assert forecast(SMALL, 100_000).cpu.total > 3 * one.cpu.total
    assert forecast(SMALL.but(clients=12), 10_000).cpu.aggregate == pytest.approx(4 * one.cpu.aggregate)
    assert forecast(SMALL, 100_000).client_memory > one.client_memory


@pytest.mark.slow
def test_collective_custody_adds_partial_decryptions():
    collective = SMALL.but(scheme="INSECURE_bfv-threshold-1024", custody="2-of-4", clients=4)
    alone = collective.but(custody="individual")
    assert forecast(collective, 5000).bytes_down > forecast(alone, 5000).bytes_down
    assert calibrate(collective.scheme, collective=True).partial(5) > 0


def test_a_result_carries_its_forecast():
    result = with_forecast(run_experiment(SMALL.but(rounds=1)))
    found = json.loads(result.to_json())["forecast"]
    assert found["error"]["bytes_up"] < 0.01
    assert found["error"]["bytes_down"] < 0.01
    assert found["forecast"]["cpu"].keys() == {"encrypt", "aggregate", "decrypt"}


def test_lines_never_fall():
    assert FittedLine.through(1, 5.0, 10, 4.0)(10**6) == 5.0
    assert units("plaintext", 77) == 77
