"""Arrays and pictures through command line and library, on every runtime: named by content, never by a path."""

from __future__ import annotations

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hefl_core.app.captured_run import of_transcript
from hefl_core.cli.main import app
from hefl_core.errors import DataError, ParameterError
from hefl_core.federation.record.transcript import Transcript
from hefl_core.learning import own_sets, shelf
from hefl_core.learning.arrays import put_arrays
from hefl_core.learning.own_sets import GivenSource
from hefl_core.learning.pictures import packed, put_pictures
from hefl_core.runtime import stage
from hefl_core.runtime.client_home import dealt_data
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.ray.table_box import TableBox, seal_tables
from hefl_core.tables.declared import Declared
from hefl_core.tables.doors import is_path
from hefl_core.terms.experiment import Experiment, Manifest
from tests.conftest import finished

QUICK = Experiment(model="logistic", scheme="plaintext", clients=3, rounds=1, local_epochs=20)
RNG = np.random.default_rng(7)
LABELS = np.arange(60) % 3
FEATURES = RNG.normal(size=(60, 4)) + LABELS[:, None]


@pytest.fixture
def ward(tmp_path):
    """Every form of the same numbers, and pictures of two classes, below a folder whose name must not travel."""
    folder = tmp_path / "Klinik-seven"
    folder.mkdir()
    np.savez(folder / "usual.npz", X=FEATURES, y=LABELS)
    np.savez(folder / "odd.npz", measured=FEATURES.astype(">f8"), ill=LABELS.astype(np.int8))
    np.save(folder / "table.npy", np.column_stack([FEATURES, LABELS]))
    for at in range(40):
        place = folder / "scans" / ("dark", "light")[at % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = RNG.integers(0, 100, (8, 8)) + 120 * (at % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"{at}.png")
    return folder


COMMAND = (
    "run",
    "--model",
    "logistic",
    "--scheme",
    "plaintext",
    "--clients",
    "3",
    "--rounds",
    "1",
    "--local-epochs",
    "20",
)


def run(*args):
    return CliRunner().invoke(app, [*COMMAND, *args])


def test_one_content_has_one_name_through_every_door(ward, tmp_path):
    names = {shelf.resolve(f"{door}{ward}/{file}") for door, file in
             (("npz:", "usual.npz"), ("npz:", "odd.npz#ill"), ("npy:", "table.npy"))}  # fmt: skip
    names |= {shelf.resolve(f"npz:{ward}/odd.npz", label="ill"), put_arrays(ward / "usual.npz").name}
    assert len(names) == 1
    shutil.copytree(ward / "scans", tmp_path / "other#28")
    pictures = {shelf.resolve(f"pictures:{place}") for place in (ward / "scans", tmp_path / "other#28")}
    assert pictures == {put_pictures(ward / "scans").name} and put_pictures(packed(ward / "scans")).name in pictures
    assert shelf.resolve(f"pictures:{ward}/scans#4") not in pictures and not any(map(is_path, names | pictures))


@pytest.mark.parametrize("typed", ["npz:{}/usual.npz", "npz:{}/odd.npz#ill", "npy:{}/table.npy", "pictures:{}/scans"])
def test_the_command_trains_on_it_and_tells_no_path(ward, typed, tmp_path):
    typed = typed.format(ward)
    done = run("--dataset", typed, "--json", str(tmp_path / "o.json"), "--transcript", str(tmp_path / "t.jsonl"))
    assert done.exception is None, done.exception
    found = json.loads((tmp_path / "o.json").read_text())
    name = shelf.resolve(typed)
    assert found["experiment"]["dataset"] == name
    assert found["rounds"][0]["accuracy"] == run_experiment(QUICK.but(dataset=name)).rounds[0].accuracy
    assert found["rounds"][0]["accuracy"] > 0.5, "it learns"
    for text in ((tmp_path / "o.json").read_text(), (tmp_path / "t.jsonl").read_text(), done.stderr):
        assert "Klinik-seven" not in text
    assert "classes 0, 1, 2" in " ".join(done.stderr.split()) or "classes dark, light" in " ".join(done.stderr.split())


class Opened:
    def __reduce__(self):
        return print, ("code ran",)


REFUSED = {
    "objects": ({"X": np.array([Opened()] * 60, object), "y": LABELS}, "", "Python objects.*convert them to numbers"),
    "regression": ({"X": FEATURES, "y": FEATURES[:, 0]}, "", "regression target.*--label-above X"),
    "no such label": ({"X": FEATURES, "y": LABELS}, "#ill", "expected an array 'ill', found 'X', 'y'"),
    "two besides the label": (
        {"a": FEATURES, "b": FEATURES, "y": LABELS},
        "#y",
        "expected one array of features beside 'y'",
    ),
    "unknown names": (
        {"a": FEATURES, "b": LABELS},
        "",
        "arrays: expected 'features' and 'labels'|arrays: expected features",
    ),
    "gaps": ({"X": np.where(FEATURES > 2, np.nan, FEATURES), "y": LABELS}, "", "row .* column .*NaN"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_refused_with_what_to_do(kind, tmp_path, capsys):
    arrays, mark, said = REFUSED[kind]
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=said):
        shelf.resolve(f"npz:{tmp_path}/a.npz{mark}")
    assert "code ran" not in capsys.readouterr().out


def test_a_measured_label_is_cut_through_every_door(tmp_path):
    measured = FEATURES[:, 0]
    np.savez(tmp_path / "a.npz", X=FEATURES, y=measured)
    np.save(tmp_path / "a.npy", np.column_stack([FEATURES, measured]))
    cut = Declared(label_above=0.25)
    names = {shelf.resolve(f"{door}{tmp_path}/a.{door[:3]}", declared=cut) for door in ("npz:", "npy:")}
    assert len(names) == 1 and names != {shelf.resolve(f"npz:{tmp_path}/a.npz", declared=Declared(label_above=0.5))}
    (name,) = names
    data = dealt_data(QUICK.but(dataset=name))
    assert put_arrays(tmp_path / "a.npz", above=0.25).classes == ("0.25 or less", "above 0.25")
    assert sum(len(part) for part in data.parts) == 48
    done = run("--dataset", f"npz:{tmp_path}/a.npz", "--label-above", "0.25", "--json", str(tmp_path / "o.json"))
    assert done.exception is None and json.loads((tmp_path / "o.json").read_text())["experiment"]["dataset"] == name
    for above, said in ((99.0, "both sides of 99"), (float("nan"), "expected a number")):
        with pytest.raises(DataError, match=said):
            shelf.resolve(f"npz:{tmp_path}/a.npz", declared=Declared(label_above=above))
    assert isinstance(run("--dataset", "digits", "--label-above", "1").exception, ParameterError)
    np.savez(tmp_path / "words.npz", X=FEATURES, y=np.where(measured > 0, "a", "b"))
    with pytest.raises(DataError, match="measured values, to be cut at 1, found text"):
        shelf.resolve(f"npz:{tmp_path}/words.npz", declared=Declared(label_above=1.0))


def test_other_refusals(ward):
    for typed, label, said in (
        (f"npy:{ward}/table.npy#x", None, "its last column is the label"),
        (f"pictures:{ward}/scans", "x", "folders are the classes"),
        (f"pictures:{ward}/scans#big", None, "a side in pixels"),
        (f"npz:{ward}/none.npz", None, "expected a file"),
        (f"npz:{ward}/odd.npz#ill", "measured", "one label"),
        ("arrays:" + "0" * 64, None, "give them again"),
    ):
        with pytest.raises(DataError, match=said):
            dealt_data(QUICK.but(dataset=shelf.resolve(typed, label=label)))
    assert isinstance(run("--dataset", f"pictures:{ward}/scans", "--label", "x").exception, ParameterError)
    with pytest.raises(DataError, match="beside a label, a declaration or a schema"):
        shelf.resolve(f"npz:{ward}/usual.npz", mark_missing=True)


@pytest.mark.parametrize("typed", ["csv-dir:{}", "npz:{}/usual.npz", "npy:{}/table.npy", "pictures:{}/scans"])
def test_neither_terms_nor_a_foreign_record_hold_a_path(ward, typed, monkeypatch):
    """A record that names a path would choose what is read here: csv-dir did."""
    foreign = Manifest(QUICK.but(dataset=typed.format(ward)), 6, 64, b"n" * 16)
    monkeypatch.setattr(shelf, "resolve", lambda *args, **how: pytest.fail("it was read"))
    with pytest.raises(DataError, match="expected a data set's name, found a path"):
        of_transcript(Transcript(foreign, stage.make_kms(foreign).member))
    with pytest.raises(ParameterError, match="found a path"):
        Manifest.draw(foreign.experiment, 6, 16)


@pytest.mark.parametrize("typed", ["npz:{}/usual.npz", "pictures:{}/scans"])
def test_it_travels_sealed_and_is_checked_against_its_name(ward, typed, tmp_path):
    """A client's process on Ray: the box without Ray."""
    name = shelf.resolve(typed.format(ward))
    experiment = QUICK.but(dataset=name)
    whole = dealt_data(experiment)
    terms, home = whole.manifest(experiment), tmp_path / "client-1"
    home.mkdir()
    box, source = TableBox(home, terms), own_sets.find(name).source
    sealed = seal_tables(terms, box.member, [1])
    inside = source.content[-60:-20]
    assert inside not in sealed
    box.take(sealed)
    assert all(inside not in path.read_bytes() for path in home.iterdir())
    while not own_sets.forget(name):
        pass
    assert own_sets.known(name) is None and TableBox(home, terms).recall()
    found = own_sets.find(name).dataset
    assert np.array_equal(found.train.features, whole.dataset.train.features) and found.classes == whole.dataset.classes
    made = io.BytesIO()
    np.savez(made, X=FEATURES + 1, y=LABELS)
    with pytest.raises(DataError, match="expected .*, found arrays:"):
        box._put(GivenSource("arrays", made.getvalue()).to_bytes())


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_on_ray_and_strict_pictures_give_the_same_run(ward):
    experiment = QUICK.but(dataset=f"pictures:{ward}/scans", scheme="bfv-lean")
    local, on_ray, strict = (
        run_experiment(experiment.but(observed=how != "strict"), how) for how in ("local", "ray", "strict")
    )
    assert local.rounds[0].model == on_ray.rounds[0].model == strict.rounds[0].model
    assert finished(experiment).experiment.dataset == on_ray.experiment.dataset == strict.experiment.dataset
