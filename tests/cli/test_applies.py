"""No option is ignored in silence: each is declared, and one that changes nothing is refused with what it needs."""

from __future__ import annotations

import re

import pytest
from typer.core import TyperGroup
from typer.testing import CliRunner

from hefl_core.attacks.catalogue import ATTACKS
from hefl_core.cli.applies import _USED_BY, APPLIES
from hefl_core.cli.main import COMMANDS, app
from hefl_core.errors import ParameterError
from hefl_core.runtime.launch import run_experiment
from hefl_core.terms.experiment import Experiment


def leaves(command, path):
    if not isinstance(command, TyperGroup):
        return {path: {parameter.name for parameter in command.params} - {"help"}}
    return {k: v for name, inner in command.commands.items() for k, v in leaves(inner, f"{path} {name}").items()}


def test_every_option_of_every_command_is_declared():
    """A new option fails here until it is said where it applies."""
    found = {}
    for command in COMMANDS:
        found |= leaves(command.load(), command.name)
    assert found == {path: set(rules) for path, rules in APPLIES.items()}


def test_the_attacks_of_each_option_exist():
    names = {attack.name for attack in ATTACKS}
    assert all(set(used) <= names for used in _USED_BY.values())


IGNORED = {
    "run --rounds 2 --rounds 3": "--rounds: expected once, found 2 times",
    "run --observed --no-observed": "--observed: expected once, found 2 times",
    "run --clients-per-host 2": "--clients-per-host: expected --runtime ray, found --runtime local",
    "run --deadline 3": "--deadline: expected --runtime ray",
    "run --deadline 3 --runtime strict": "--deadline: expected --runtime ray, found --runtime strict",
    "run --observed --runtime strict": "expected --runtime local or ray, found --runtime strict",
    "run --label age": "--label: expected --dataset csv:PATH.*found --dataset digits",
    "run --mark-missing": "--mark-missing: expected --dataset csv:PATH",
    "run --mark-missing --dataset csv-dir:x": "--mark-missing: .*agree on columns and gaps in round zero",
    "run --schema x.json --dataset csv-dir:x": "--schema: expected --dataset csv:PATH, found --dataset csv-dir:x",
    "run --declare missing=9": "--declare: expected --dataset csv:PATH",
    "run --alpha 1 --partition shards": "--alpha: expected a partition that Dirichlet draws, found --partition shards",
    "run --alpha 1 --dataset csv-dir:x": "--alpha: expected a data set that is dealt",
    "run --partition shards --dataset csv-dir:x": "--partition: expected a data set that is dealt",
    "run --dp-noise 1": "--dp-noise: expected --clip-norm, found no --clip-norm",
    "demo --runtime strict": "--runtime: expected ray or local, found --runtime strict",
    "table check x.csv --drop a --keep a": "--drop: expected columns that are not kept as well",
    "schemes --rounds 3": "--rounds: expected --parameters, found no --parameters",
    "attack label --list": "name: expected no --list, found --list",
    "attack --list --seat client": "--seat: expected no --list",
    "attack label --round 2": "--round: expected --transcript, found no --transcript",
    "attack label --search dlg": r"--search: expected an attack that it changes \(inversion\), found name label",
    "attack label --deviation loud": r"--deviation: expected an attack that it changes \(delta\)",
    "attack record --epoch-rounds 1": "--epoch-rounds: expected an attack that it changes",
    "attack loss --batch 4": "--batch: expected an attack that it changes",
    "attack loss --trials 4": "--trials: expected an attack that it changes",
    "attack multi-key --clients 4": "--clients: expected an attack that it changes",
    "attack distinguish --dataset digits": "--dataset: expected an attack that it changes",
    "attack label --scheme bfv-lean --seat plain_FL": "--scheme: expected a seat that sees ciphertexts",
    "attack label --threshold 2 --seat client": "--threshold: expected a seat that sees ciphertexts",
    "attack key-heist --scheme bfv-lean": "--scheme: expected a preset of the family that the attack works on",
    "attack tampering --scheme paillier-packed": "--scheme: expected a preset of the family",
    "attack label --transcript x --trials 3": "--trials: expected no --transcript, found --transcript x",
    "attack label --transcript x --scheme bfv-lean": "--scheme: expected no --transcript",
    "corrupt --case 3 --count 4": "--count: expected no --case, found --case 3",
    "corrupt --case 3 --no-bare": "--bare: expected no --case",
    "corrupt --case 3 --json -": "--json: expected no --case",
    "faults --deadline 3 --count 3": "--deadline: expected faults on Ray",
    "faults --without-log --deadline 3": "--deadline: expected parties with stores, found --without-log",
    "faults --without-log --network 3": "--network: expected parties with stores",
    "faults --count 3 --processes 4": "--processes: expected at most --count of them, found --count 3",
    "faults --count 3 --network 4": "--network: expected at most what --processes leaves",
    "keys list --key-file k --token m:l": "--key-file: expected one way to unlock the store, found --token m:l",
    "provision issue --requests r --out o --schema s --experiment dataset=digits": "--schema: expected an --experiment without",
    "provision issue --requests r --out o --examples-max 9": "--examples-max: expected --schema, found no --schema",
}


@pytest.mark.parametrize("typed", IGNORED)
def test_an_option_that_changes_nothing_is_refused(typed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = [word.replace("_FL", " FL") for word in typed.split()]
    done = CliRunner().invoke(app, args)
    assert isinstance(done.exception, ParameterError), done.output
    assert re.search(IGNORED[typed], str(done.exception)), done.exception
    assert "; " in str(done.exception), "it says what to do"


def test_defaults_are_no_options():
    """The control: the same commands without the option go on (the first to its own work, the others to their own input)."""
    assert CliRunner().invoke(app, ["schemes", "--json", "-"]).exception is None
    done = CliRunner().invoke(app, ["run", "--no-observed", "--runtime", "strict", "--dataset", "nothing"])
    assert "dataset: expected" in str(done.exception)


def test_the_library_refuses_them_too():
    for runtime in ("local", "strict"):
        for option in ({"clients_per_host": 2}, {"deadline_seconds": 3.0}):
            with pytest.raises(ParameterError, match=f"{next(iter(option))}: expected none on the runtime {runtime}"):
                run_experiment(Experiment(), runtime, **option)
