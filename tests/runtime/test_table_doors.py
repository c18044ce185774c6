"""One table through every door and runtime: the same name, first model and accuracies; a path nowhere."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from hefl_core.app.captured_run import of_transcript
from hefl_core.app.report import to_html
from hefl_core.cli.main import app
from hefl_core.errors import DataError, ParameterError, WireError
from hefl_core.federation.record.transcript import Transcript
from hefl_core.learning import shelf
from hefl_core.runtime import stage
from hefl_core.runtime.client_home import dealt_data, forget_table, initial_parameters
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.ray.actors import PartyHost, PartySpec
from hefl_core.runtime.ray.table_box import TableBox, seal_tables, table_of
from hefl_core.runtime.services.own_data import read_own_data
from hefl_core.runtime.services.provision import provision_all
from hefl_core.tables.source import TableSource
from hefl_core.terms.experiment import Experiment, Manifest, Schema
from tests.conftest import finished
from tests.tables.kinds import PLAIN, cell

QUICK = Experiment(model="logistic", scheme="plaintext", clients=3, rounds=2)


@pytest.fixture
def ward(tmp_path):
    path = tmp_path / "Klinik Müller" / "station-seven.csv"
    path.parent.mkdir()
    path.write_bytes(PLAIN)
    return path


def accuracies(result):
    return [(item.accuracy, item.loss, item.model) for item in result.rounds]


def test_the_same_table_gives_the_same_run_under_every_path(ward, tmp_path, monkeypatch):
    """The issue's fault: accuracy in round 1 depended on the folder."""
    other = tmp_path / "x.csv"
    other.write_bytes(PLAIN)
    monkeypatch.chdir(tmp_path)
    name = shelf.put(TableSource(PLAIN))
    runs = [
        finished(QUICK.but(dataset=door)) for door in (f"csv:{ward}", f"csv:{other}:outcome", "csv:x.csv", name, name)
    ]
    results = [run.result() for run in runs]
    assert len({tuple(accuracies(result)) for result in results}) == 1
    assert len({initial_parameters(run.transcript.manifest).tobytes() for run in runs}) == 1
    assert {result.experiment.dataset for result in results} == {name}


def test_with_a_path_in_its_terms_the_first_model_would_differ():
    """The control: what the seed of θ_0 was drawn from before, and the door that is shut now."""
    seeds = {Manifest(QUICK.but(dataset=f"csv:/{place}"), 6, 16, b"n" * 16).initialisation for place in "ab"}
    assert len(seeds) == 2
    with pytest.raises(ParameterError, match="expected a table's name"):
        Manifest.draw(QUICK.but(dataset="csv:/a"), 6, 16)


def test_no_record_result_or_report_holds_the_path(ward, tmp_path):
    run = finished(QUICK.but(dataset=f"csv:{ward}:outcome"))
    run.transcript.save(tmp_path / "t.jsonl")
    result = run.result()
    texts = [
        (tmp_path / "t.jsonl").read_text(),
        result.to_json(),
        to_html(result),
        repr(result),
        run.experiment.to_query(),
    ]
    for text in texts:
        assert "station-seven" not in text and "Klinik" not in text and "csv:" not in text and str(tmp_path) not in text
    assert json.loads(result.to_json())["table"]["label"].startswith("label: outcome (as named), classes 0, 1;")
    assert "label: outcome (as named), classes 0, 1" in to_html(result) and "48 rows" in to_html(result)
    assert "table" in json.loads(finished(QUICK.but(rounds=1)).result().to_json()), "null for a built-in set"


def test_new_content_in_a_process_that_lives_on_is_trained_on(ward):
    """A cell of a notebook, run again after the file changed."""
    experiment = QUICK.but(dataset=f"csv:{ward}")
    first = run_experiment(experiment)
    ward.write_bytes(cell("77"))
    second = run_experiment(experiment)
    assert first.experiment.dataset != second.experiment.dataset and accuracies(first) != accuracies(second)
    ward.unlink()
    with pytest.raises(DataError, match="found nothing"):
        run_experiment(experiment)
    assert accuracies(run_experiment(first.experiment)) == accuracies(first)


def test_terms_drawn_by_hand_carry_no_path_either(ward):
    """The role play and notebooks draw their terms from what was dealt."""
    experiment = QUICK.but(dataset=f"csv:{ward}")
    manifest = dealt_data(experiment).manifest(experiment)
    assert manifest.experiment.dataset == shelf.resolve(f"csv:{ward}")


def test_a_record_cannot_choose_which_file_is_read_here(ward, tmp_path, monkeypatch):
    """A record from somebody else that names a path: the attack's truth was read from that file."""
    manifest = Manifest(QUICK.but(dataset=f"csv:{ward}"), 6, 64, b"n" * 16, schema=Schema(("age", "dose"), ("0", "1")))
    foreign = Transcript(manifest, stage.make_kms(manifest).member)
    read = []
    monkeypatch.setattr(TableSource, "typed", lambda *args, **how: read.append(args))
    with pytest.raises(DataError, match="expected a data set's name, found a path"):
        of_transcript(foreign)
    assert not read


def test_a_record_of_ones_own_table_is_attacked_with_the_file_given_again(ward, tmp_path):
    result = CliRunner().invoke(
        app,
        ["run", "--model", "logistic", "--scheme", "plaintext", "--clients", "3", "--rounds", "1",
         "--dataset", f"csv:{ward}", "--transcript", str(tmp_path / "t.jsonl")],
    )  # fmt: skip
    assert result.exception is None

    def attack(*args):
        found = CliRunner().invoke(app, ["attack", "membership", "--transcript", str(tmp_path / "t.jsonl"), *args])
        return found.exception

    assert attack("--dataset", f"csv:{ward}") is None
    other = tmp_path / "other.csv"
    other.write_bytes(cell("77"))
    assert "expected the record's table:" in str(attack("--dataset", f"csv:{other}"))
    name = Transcript.load(tmp_path / "t.jsonl").manifest.experiment.dataset
    while shelf.known(name):
        forget_table(name)
    assert "give the file again" in str(attack())


def test_what_was_dealt_of_a_forgotten_table_is_forgotten(ward):
    name = shelf.put(TableSource(cell("55")))
    whole = dealt_data(QUICK.but(dataset=name))
    assert dealt_data(QUICK.but(dataset=name)) is whole
    forget_table(name)
    with pytest.raises(DataError, match="give the file again"):
        dealt_data(QUICK.but(dataset=name))


def test_services_deal_the_same_examples_and_their_folders_hold_no_path(ward, tmp_path):
    experiment = Experiment(dataset=f"csv:{ward}", model="logistic", clients=3, rounds=1)
    folder = tmp_path / "parties"
    manifest = provision_all(folder, experiment, metrics=False)
    parts = dealt_data(experiment).parts
    for number, part in enumerate(parts, 1):
        own = read_own_data(manifest.schema, folder / f"client-{number}" / "data")
        assert np.array_equal(own.train.features, part.features) and np.array_equal(own.train.labels, part.labels)
    assert manifest.experiment.dataset == shelf.resolve(f"csv:{ward}")
    for path in folder.rglob("*"):
        assert not path.is_file() or (b"station-seven" not in path.read_bytes() and b"csv:" not in path.read_bytes())


# -- the table on its way to a client's process ----------------------------------------------------------------------


@pytest.fixture
def terms():
    experiment = QUICK.but(dataset=shelf.put(TableSource(PLAIN)))
    return dealt_data(experiment).manifest(experiment)


def test_a_table_travels_sealed_and_comes_back_after_a_restart(terms, tmp_path):
    home = tmp_path / "client-1"
    home.mkdir()
    box = TableBox(home, terms)
    sealed = seal_tables(terms, box.member, [1])
    assert PLAIN[20:60] not in sealed and not box.recall()
    box.take(sealed)
    for path in home.iterdir():
        assert PLAIN[20:60] not in path.read_bytes(), path
    name = terms.experiment.dataset
    while not shelf.forget(name):
        pass
    assert shelf.known(name) is None
    assert TableBox(home, terms).recall() and shelf.find(name).source.content == PLAIN


def test_another_table_another_reader_and_another_run_are_refused(terms, tmp_path):
    box, other = (TableBox(tmp_path / name, terms) for name in ("client-1", "client-2"))
    with pytest.raises(WireError, match="cannot open it|sealed"):
        box.take(seal_tables(terms, other.member, [1]))
    again = dealt_data(terms.experiment).manifest(terms.experiment)
    assert again.id != terms.id
    with pytest.raises(WireError):
        box.take(seal_tables(again, box.member, [1]))
    with pytest.raises(DataError, match="expected table:.*found table:"):
        box._put(TableSource(cell("77")).to_bytes())
    assert table_of(dealt_data(QUICK).manifest(QUICK)) is None


def test_a_clients_process_waits_for_the_table_and_needs_it_once(terms, tmp_path):
    """The host without Ray: a client of it settles when the table came, and again after a restart with an empty shelf."""
    client = PartySpec("client-1", "make_client", (terms, stage.make_kms(terms).member, 1, None))

    def host():
        return PartyHost(str(tmp_path / "client-1"), [client])

    first = host()
    assert "before it had the run's table" in str(first.settled("client-1"))
    sealed = seal_tables(terms, first.reception(), [1])
    first.take_table(sealed)
    member = first.settled("client-1")
    assert member.name == "client-1"
    first._stores["client-1"].close()
    while not shelf.forget(terms.experiment.dataset):
        pass
    again = host()
    assert again.settled("client-1") == member and shelf.known(terms.experiment.dataset)
    stranger = PartyHost(str(tmp_path / "stranger"), [client])
    stranger.take_table(sealed)
    assert isinstance(stranger.settled("client-1"), WireError)


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_on_ray_the_same_table_gives_the_same_run(ward):
    local = run_experiment(QUICK.but(dataset=f"csv:{ward}"))
    far = run_experiment(QUICK.but(dataset=f"csv:{ward}"), "ray")
    assert accuracies(far) == accuracies(local) and far.table == local.table
    ward.write_bytes(cell("77"))
    changed = run_experiment(QUICK.but(dataset=f"csv:{ward}"), "ray")
    assert accuracies(changed) != accuracies(local), "driver and clients read the new table alike"
    assert accuracies(changed) == accuracies(run_experiment(QUICK.but(dataset=f"csv:{ward}")))
