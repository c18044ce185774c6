"""One file for each hospital: they agree, train, and get the model of the pooled, rightly encoded table."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hefl_core.checks.claims.ledger import LEDGER, check_claims
from hefl_core.cli.main import app
from hefl_core.errors import DataError, ParameterError
from hefl_core.learning import shelf
from hefl_core.learning.base import Examples, LocalTraining, training_seed
from hefl_core.learning.models import model_for
from hefl_core.learning.split import split_indices
from hefl_core.learning.trainers import open_trainer
from hefl_core.runtime.agreement import agree
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.result import ClaimVerdict
from hefl_core.runtime.services.own_data import read_source, save_table
from hefl_core.tables.declared import Declared
from hefl_core.tables.encoding import encode
from hefl_core.tables.hospitals import HospitalTables
from hefl_core.tables.round_zero.rounds import AgreementRounds
from hefl_core.tables.source import TableSource
from hefl_core.terms.experiment import Experiment
from tests.tables.hospitals import A, B, C, pooled, reader

EXPERIMENT = Experiment(model="logistic", clients=3, rounds=3, batch=8)


@pytest.fixture
def folder(tmp_path):
    for name, content in (("a", A), ("b", B), ("c", C)):
        (tmp_path / f"{name}.csv").write_bytes(content)
    return tmp_path


def plain_fedavg(experiment, theta):
    """FedAvg in float64 on the tables as a reader of all of them encodes them: no protocol, no encryption."""
    schema, _ = pooled([A, B, C])
    model = model_for(experiment.model, len(schema.feature_names), len(schema.classes))
    trainer = open_trainer("numpy", model)
    parts = []
    for content in (A, B, C):
        made = encode(reader(content)(schema), schema)
        train, _ = split_indices(reader(content)(schema).label.codes, len(made.labels) // 5)
        parts.append((made.features[train], made.labels[train]))
    for number in range(1, experiment.rounds + 1):
        total, weight = np.zeros(len(theta)), 0
        for at, (features, labels) in enumerate(parts, start=1):
            how = LocalTraining(
                1, experiment.batch, experiment.learning_rate, training_seed(experiment.seed, number, at)
            )
            own = trainer.train(theta, Examples(features, labels), how)
            total += len(labels) * (own.astype(np.float64) - theta.astype(np.float64))
            weight += len(labels)
        theta = (theta.astype(np.float64) + total / weight).astype(np.float32)
    return theta


def models(result):
    return [item.model for item in result.rounds], [item.accuracy for item in result.rounds]


def test_the_model_is_that_of_the_pooled_table(folder):
    result = run_experiment(EXPERIMENT.but(dataset=f"csv-dir:{folder}"))
    seen = next(one for one in result.observations[3] if one.theta)
    manifest = result.transcript.manifest
    theta_0 = model_for("logistic", len(manifest.schema.columns), len(manifest.schema.classes)).init(
        manifest.initialisation
    )
    expected = plain_fedavg(EXPERIMENT, np.asarray(theta_0, np.float32))
    bound = sum(item.error_bound for item in result.rounds)
    assert np.abs(np.frombuffer(seen.theta, np.float32) - expected).max() <= 4 * bound  # training amplifies a little
    assert np.abs(expected - theta_0).max() > 100 * bound, "the control: it did learn"
    assert (result.round_zero.rows, result.round_zero.clients) == (95, 3)
    assert dict(zip(result.round_zero.classes, result.round_zero.class_rows, strict=True)) == {"no": 54, "yes": 41}


def test_names_of_files_and_folders_change_nothing(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("elsewhere")
    for name, content in (("1 north", A), ("2 south", B), ("3 west", C)):
        (other / f"{name}.csv").write_bytes(content)
    one, two = (run_experiment(EXPERIMENT.but(dataset=f"csv-dir:{where}")) for where in (folder, other))
    assert models(one) == models(two)
    assert str(folder) not in one.to_json() and str(folder).encode() not in one.transcript.to_bytes()


def test_the_coordinators_record_shows_no_total(folder):
    """The record of both runs holds neither a mean nor a spread; the same search finds them where they are."""
    result = run_experiment(EXPERIMENT.but(dataset=f"csv-dir:{folder}"))
    schema, _ = pooled([A, B, C])
    needles = [np.float64(number).tobytes() for column in schema.columns for number in (column.centre, column.spread)]
    needles = [needle for needle in needles if needle not in (np.float64(0).tobytes(), np.float64(1).tobytes())]
    record = result.transcript.to_bytes() + b"".join(result.transcript.blobs.values())
    assert needles and not any(needle in record for needle in needles)
    held = np.array([column.centre for column in schema.columns] + [column.spread for column in schema.columns])
    assert all(needle in held.tobytes() for needle in needles)


def test_the_command_line_says_what_was_agreed(folder, tmp_path):
    out = tmp_path / "result.json"
    asked = ["run", "--dataset", f"csv-dir:{folder}", "--clients", "3", "--rounds", "1", "--model", "logistic"]
    record = tmp_path / "t.jsonl"
    found = CliRunner().invoke(app, [*asked, "--json", str(out), "--transcript", str(record)])
    assert found.exit_code == 0, found.output
    said = " ".join(found.output.split())
    assert (
        "round zero: 3 clients agreed on 5 features from 95 rows (label ill: no 54, yes 41; left out: nothing) by 3 encrypted sums"
        in said
    )
    written = json.loads(out.read_text())
    assert written["round_zero"]["sums"] == 3
    assert "round zero's record: " in said and "claims, checked on round zero" in said
    assert {one["verdict"] for one in written["round_zero_claims"]} == {"holds"}
    for path in (record, tmp_path / "t.jsonl.round-zero"):
        pins = ["--roster", f"{path}.roster", "--heads", f"{path}.heads"]
        verified = CliRunner().invoke(app, ["verify", str(path), *pins])
        assert verified.exit_code == 0 and "verified: " in verified.output
    zero = Path(f"{record}.round-zero")
    lines = zero.read_bytes().splitlines(keepends=True)
    zero.write_bytes(b"".join(lines[:5] + lines[6:]))
    assert CliRunner().invoke(app, ["verify", str(zero), *pins]).exit_code == 1, "the control: a line is taken out"
    (tmp_path / "t.jsonl.round-zero.note").write_text("mine")
    again = ["run", "--rounds", "1", "--model", "logistic", "--clients", "3", "--transcript", str(record)]
    assert CliRunner().invoke(app, again).exit_code == 0
    left = {path.name for path in tmp_path.iterdir() if "round-zero" in path.name}
    assert left == {"t.jsonl.round-zero.note"}, "a run without round zero leaves no record of an earlier one's"


def test_hospitals_with_a_measured_label_cut_it_alike(tmp_path):
    """One of them has nobody above the cut; what its owner declares travels to its service."""
    for at, most in enumerate((60, 60, 20)):
        lines = (f"{20 + n % 17 + at},{n % 5},{100 + n}" for n in range(most))
        (tmp_path / f"{at}.csv").write_text("\n".join(["age,dose,systolic", *lines]))
    asked = ["run", "--dataset", f"csv-dir:{tmp_path}", "--clients", "3", "--rounds", "1", "--model", "logistic"]
    assert "--label-above X" in str(CliRunner().invoke(app, asked).exception)
    found = CliRunner().invoke(app, [*asked, "--label-above", "140"])
    assert found.exit_code == 0, found.output
    assert "140 rows (label systolic: 140 or less 102, above 140 38;" in " ".join(found.output.split())
    own = TableSource((tmp_path / "2.csv").read_bytes(), declared=Declared(label_above=140.0))
    save_table(tmp_path / "home", own)
    assert read_source(tmp_path / "home") == own and own.read().label.counts.tolist() == [20, 0]


def test_one_category_in_two_spellings_of_two_hospitals_is_said():
    """Each table by itself is consistent: only the agreed categories show it."""
    tables = [
        "\n".join(["age,sex,ill", *(f"{at * n % 11},{sex[at % 2]},{at % 2}" for at in range(30))]).encode()
        for n, sex in ((3, "fm"), (4, "FM"), (5, "fm"))
    ]

    def warned(contents):
        held = HospitalTables.of([TableSource(content) for content in contents])
        return agree(EXPERIMENT.but(dataset=shelf.put_tables(held), scheme="plaintext")).note.warnings

    assert any("'F' and 'f' differ in capitals only" in one for one in warned(tables))
    assert warned([one.lower() for one in tables]) == (), "the control"


@pytest.mark.parametrize("scheme", ["bfv-lean", "ckks-lean"])
def test_every_claim_is_checked_on_round_zero_and_fails_on_its_planted_faults(scheme):
    """Round zero's vectors are plain numbers; before, no piece of them was found that can be searched for."""
    tables = HospitalTables.of([TableSource(content) for content in (A, B, C)])
    found = agree(EXPERIMENT.but(dataset=shelf.put_tables(tables), scheme=scheme)).result
    checked = check_claims(found)
    assert checked.claims and all(one.verdict is ClaimVerdict.HOLDS for one in checked.claims)
    assert "searched for 0 pieces" not in checked.claims[0].evidence
    for claim in LEDGER:
        if claim.check is not None and claim.applies(found):
            verdicts = {control.__name__: claim.examine(control(found)).verdict for control in claim.controls}
            assert set(verdicts.values()) == {ClaimVerdict.FAILS}, (claim.id, verdicts)


def test_a_claim_that_fails_on_round_zero_fails_the_run(folder):
    result = check_claims(run_experiment(EXPERIMENT.but(dataset=f"csv-dir:{folder}", rounds=1, scheme="plaintext")))
    assert {one.id for one in result.round_zero_claims if not one.holds} == {
        one.id for one in result.claims if not one.holds
    }
    honest = replace(result, claims=())
    assert honest.failed and not replace(honest, round_zero_run=None).failed


def test_round_zero_decodes_the_names_and_reads_each_table_once_for_each_schema(monkeypatch):
    """Before, each client decoded the names up to three times a round and read its table anew."""
    decoded, read = [], []
    names = AgreementRounds.read_names
    monkeypatch.setattr(
        AgreementRounds, "read_names", lambda self, mean: decoded.append(mean.tobytes()) or names(self, mean)
    )
    tables = HospitalTables.of([TableSource(content) for content in (A, B, C)])
    whole = TableSource.reread
    monkeypatch.setattr(
        TableSource, "reread", lambda self, schema: read.append((self.content, schema)) or whole(self, schema)
    )
    agree(EXPERIMENT.but(dataset=shelf.put_tables(tables), scheme="plaintext", seed=8))
    assert len(decoded) == len(set(decoded)) <= 1
    assert len(read) == len(set(read)) == 3 * 3, "freely, by the names, by the means: each hospital once"


@pytest.mark.parametrize(
    "changes, error, said",
    [
        ({"clients": 4}, DataError, "expected 3, one for each table, found 4; say --clients 3"),
        ({"alpha": 0.5}, ParameterError, "leave --partition and --alpha out"),
        ({"clip_norm": 1.0, "dp_noise": 1.0}, ParameterError, "carry no noise"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_is_sent(folder, changes, error, said):
    with pytest.raises(error, match=said):
        run_experiment(EXPERIMENT.but(dataset=f"csv-dir:{folder}", **changes))


def test_a_folder_that_is_none_or_has_one_file_is_refused(tmp_path):
    (tmp_path / "only.csv").write_bytes(A)
    with pytest.raises(DataError, match="two tables or more, found 1; put one"):
        run_experiment(EXPERIMENT.but(dataset=f"csv-dir:{tmp_path}"))
    with pytest.raises(DataError, match="found no folder"):
        run_experiment(EXPERIMENT.but(dataset=f"csv-dir:{tmp_path / 'nowhere'}"))


def test_a_table_that_cannot_be_read_names_its_client_and_line(folder):
    (folder / "b.csv").write_bytes(B + b"\n1,2\n")
    with pytest.raises(DataError, match="table of client 2: line 32"):
        run_experiment(EXPERIMENT.but(dataset=f"csv-dir:{folder}"))


def test_strict_mode_gives_the_same_model(folder):
    """Round zero and the training, each with a service of its own for every party: the hospitals' tables stay in their folders."""
    asked = EXPERIMENT.but(dataset=f"csv-dir:{folder}", rounds=1)
    local, strict = run_experiment(asked), run_experiment(asked.but(observed=False), "strict")
    assert strict.round_zero.schema == local.round_zero.schema
    assert [item.accuracy for item in strict.rounds] == [item.accuracy for item in local.rounds]


@pytest.mark.ray
def test_ray_gives_the_same_model(folder):
    asked = EXPERIMENT.but(dataset=f"csv-dir:{folder}", rounds=1)
    local, on_ray = run_experiment(asked), run_experiment(asked, "ray", clients_per_host=1)
    assert on_ray.round_zero.schema == local.round_zero.schema
    assert [item.accuracy for item in on_ray.rounds] == [item.accuracy for item in local.rounds]
