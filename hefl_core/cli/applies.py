"""Where each option of each command applies: one table, so that none is ever ignored in silence.

An option that is typed where it changes nothing is an error that names what it needs; so is one that is typed twice. Every
option of every command stands here; a test compares the table with the commands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import typer
from typer.core import TyperGroup

from hefl_core.errors import ParameterError

Given: TypeAlias = Mapping[str, Any]
"""A command's parameters by name, as typed or by default."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition for an option. ``by``: the parameters that decide, which the error shows."""

    needs: str
    by: tuple[str, ...]
    holds: Callable[[Given], bool]
    remedy: str = "leave it out"


Rules: TypeAlias = tuple[Rule, ...]
ALWAYS: Final[Rules] = ()
_TYPED: Final = ("COMMANDLINE", "ENVIRONMENT")


def _table(given: Given) -> bool:
    return str(given["dataset"]).startswith(("csv:", "csv-dir:"))


def _one_table(given: Given) -> bool:
    return str(given["dataset"]).startswith("csv:")


def _dealt(name: str, harmless: object) -> Rule:
    """For data that is dealt: with one file for each client nothing is."""
    return Rule(
        "a data set that is dealt to the clients",
        ("dataset",),
        lambda given: not str(given["dataset"]).startswith("csv-dir:") or given[name] == harmless,
    )


_ON_RAY: Final[Rules] = (
    Rule("--runtime ray", ("runtime",), lambda given: given["runtime"] == "ray", "leave it out, or add --runtime ray"),
)
_OF_TABLE: Final[Rules] = (Rule("--dataset csv:PATH or csv-dir:FOLDER", ("dataset",), _table),)
_OF_COLUMNS: Final[Rules] = (
    Rule(
        "--dataset csv:PATH, csv-dir:FOLDER or npz:FILE",
        ("dataset",),
        lambda given: _table(given) or str(given["dataset"]).startswith("npz:"),
    ),
)
_OF_ONE_TABLE: Final[Rules] = (
    Rule(
        "--dataset csv:PATH",
        ("dataset",),
        _one_table,
        "leave it out; the clients of csv-dir:FOLDER agree on columns and gaps in round zero, and --declare holds for all",
    ),
)
_RUN: Final[Mapping[str, Rules]] = {
    "dataset": ALWAYS,
    "label": _OF_COLUMNS,
    "label_above": (
        Rule(
            "--dataset csv:PATH, csv-dir:FOLDER, npz:FILE or npy:FILE",
            ("dataset",),
            lambda given: _table(given) or str(given["dataset"]).startswith(("npz:", "npy:")),
        ),
    ),
    "schema": _OF_ONE_TABLE,
    "declare": _OF_TABLE,
    "mark_missing": _OF_ONE_TABLE,
    "model": ALWAYS,
    "trainer": ALWAYS,
    "scheme": ALWAYS,
    "custody": ALWAYS,
    "clients": ALWAYS,
    "rounds": ALWAYS,
    "local_epochs": ALWAYS,
    "batch": ALWAYS,
    "lr": ALWAYS,
    "alpha": (
        _dealt("alpha", None),
        Rule(
            "a partition that Dirichlet draws",
            ("partition",),
            lambda given: given["partition"] not in ("hospital", "shards"),
            "leave it out, or take --partition dirichlet-by-class",
        ),
    ),
    "partition": (_dealt("partition", "iid"),),
    "min_cohort": ALWAYS,
    "seed": ALWAYS,
    "bound": ALWAYS,
    "bits": ALWAYS,  # the library refuses both where a scheme packs no whole numbers
    "rotate": ALWAYS,
    "clip_norm": ALWAYS,
    "dp_noise": (
        Rule(
            "--clip-norm",
            ("clip_norm",),
            lambda given: given["clip_norm"] is not None,
            "add it: noise hides what is clipped",
        ),
    ),
    "epoch_rounds": ALWAYS,
    "runtime": ALWAYS,
    "clients_per_host": _ON_RAY,
    "deadline": _ON_RAY,
    "observed": (
        Rule(
            "--runtime local or ray",
            ("runtime",),
            lambda given: given["runtime"] != "strict" or not given["observed"],
            "leave it out: services show nobody's private side",
        ),
    ),
    "json": ALWAYS,
    "transcript": ALWAYS,
}

_NO_LIST: Final = Rule("no --list", ("list_",), lambda given: not given["list_"], "leave one of the two out")
_LABORATORY: Final = Rule(
    "no --transcript",
    ("transcript",),
    lambda given: given["transcript"] is None,
    "leave it out: the record says how its run was made",
)
_ON_UPDATES: Final = (
    "label",
    "label-counts",
    "record",
    "records",
    "imprint",
    "patient",
    "inversion",
    "inverting-gradients",
    "dager",
    "property",
    "membership",
)
_USED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "dataset": (*_ON_UPDATES, "differencing", "loss", "lira", "exponents", "poisoning"),
    "scheme": (*_ON_UPDATES, "distinguish", "key-heist", "key-reuse", "collusion", "related", "delta", "tampering"),
    "clients": (
        *(
            *_ON_UPDATES,
            "differencing",
            "key-heist",
            "key-reuse",
            "collusion",
            "related",
            "delta",
            "tampering",
            "poisoning",
        ),
    ),
    "batch": (*_ON_UPDATES, "differencing", "exponents"),
    "local_epochs": (*_ON_UPDATES, "differencing", "exponents"),
    "threshold": (*_ON_UPDATES, "collusion", "related", "delta"),
    "epoch_rounds": ("related", "delta"),
    "deviation": ("delta",),
    "search": ("inversion",),
    "trained": ("inverting-gradients", "dager"),
    "trials": (*_ON_UPDATES, "differencing", "lira", "distinguish", "exponents", "multi-key"),
}
"""The attacks that each option of the laboratory changes (attacks/trials.py)."""
_SCHEMES_OF: Final = {
    "key-heist": ("ckks",),
    "key-reuse": ("onetime",),
    "related": ("bfv",),
    "delta": ("bfv", "ckks"),
    "tampering": ("bfv", "ckks"),
}
"""Families in which these attacks are staged; another preset would be replaced."""


def _changes(option: str) -> Rules:
    """Rules of an option of the laboratory."""
    used = Rule(
        f"an attack that it changes ({', '.join(_USED_BY[option])})",
        ("name",),
        lambda given: given["transcript"] is not None or given["name"] is None or given["name"] in _USED_BY[option],
    )
    return (_NO_LIST, used) if option == "dataset" else (_NO_LIST, _LABORATORY, used)


def _staged(given: Given) -> bool:
    families = _SCHEMES_OF.get(str(given["name"]))
    return families is None or str(given["scheme"]).removeprefix("INSECURE_").startswith(families)


_ATTACK: Final[Mapping[str, Rules]] = {
    "name": (_NO_LIST,),
    "seat": (_NO_LIST,),
    "list_": ALWAYS,
    "scheme": (
        *_changes("scheme"),
        Rule("a seat that sees ciphertexts", ("seat",), lambda given: given["seat"] != "plain FL"),
        Rule(
            "a preset of the family that the attack works on",
            ("name", "scheme"),
            _staged,
            "take ckks-lean, bfv-threshold or onetime",
        ),
    ),
    "dataset": _changes("dataset"),
    "clients": _changes("clients"),
    "batch": _changes("batch"),
    "local_epochs": _changes("local_epochs"),
    "threshold": (
        *_changes("threshold"),
        Rule("a seat that sees ciphertexts", ("seat",), lambda given: given["seat"] not in ("plain FL", "client")),
    ),
    "epoch_rounds": _changes("epoch_rounds"),
    "deviation": _changes("deviation"),
    "search": _changes("search"),
    "trained": _changes("trained"),
    "trials": _changes("trials"),
    "seed": (_NO_LIST,),
    "transcript": (_NO_LIST,),
    "round_": (
        _NO_LIST,
        Rule(
            "--transcript",
            ("transcript",),
            lambda given: given["transcript"] is not None,
            "leave it out, or add the record",
        ),
    ),
    "json": ALWAYS,
}

_WHOLE_SWEEP: Final[Rules] = (
    Rule("no --case", ("case",), lambda given: given["case"] is None, "leave it out: one case prints its outcome only"),
)
_WITH_LOG: Final = Rule(
    "parties with stores",
    ("without_log",),
    lambda given: not given["without_log"],
    "leave it out: the control runs in objects",
)
_ONE_UNLOCK: Final[Rules] = (
    Rule(
        "one way to unlock the store",
        ("token",),
        lambda given: given["token"] is None,
        "leave --token or --key-file out",
    ),
)
_STORE: Final[Mapping[str, Rules]] = {"store": ALWAYS, "key_file": _ONE_UNLOCK, "token": ALWAYS}
_TERMS: Final[Mapping[str, Rules]] = {"experiment": ALWAYS, "days": ALWAYS}

APPLIES: Final[Mapping[str, Mapping[str, Rules]]] = {
    "run": _RUN,
    "demo": {
        "rounds": ALWAYS,
        "trainer": ALWAYS,
        "runtime": (
            Rule("ray or local", ("runtime",), lambda given: given["runtime"] != "strict", "services show no update"),
        ),
        "json": ALWAYS,
    },
    "table check": {
        "file": ALWAYS,
        "label": ALWAYS,
        "schema": ALWAYS,
        "kind": ALWAYS,
        "decimal": ALWAYS,
        "dates": ALWAYS,
        "drop": (
            Rule(
                "columns that are not kept as well",
                ("keep",),
                lambda given: not set(given["drop"] or ()) & set(given["keep"] or ()),
                "drop the column or keep it",
            ),
        ),
        "keep": ALWAYS,
        "missing": ALWAYS,
        "present": ALWAYS,
        "header": ALWAYS,
        "separator": ALWAYS,
        "summary": ALWAYS,
        "drop_unlabelled": ALWAYS,
        "label_above": ALWAYS,
    },
    "sweep": {"plan": ALWAYS, "output": ALWAYS, "at_once": ALWAYS},
    "class": dict.fromkeys(
        (
            "question",
            "questions",
            "custody",
            "preset",
            "address",
            "port",
            "phones",
            "seats",
            "min_cohort",
            "bots",
            "predict",
            "rounds",
            "anonymous",
            "transcript",
            "csv",
            "hashes",
        ),
        ALWAYS,
    ),
    "verify": {"transcript": ALWAYS, "roster": ALWAYS, "heads": ALWAYS, "json": ALWAYS},
    "report": {"transcript": ALWAYS, "html": ALWAYS, "rounds": ALWAYS},
    "schemes": {
        "custody": ALWAYS,
        "parameters": ALWAYS,
        "rounds": (
            Rule(
                "--parameters",
                ("parameters",),
                lambda given: given["parameters"] is not None,
                "add it: without a model the list states what a key may ever open",
            ),
        ),
        "json": ALWAYS,
    },
    "claims": {"markdown": ALWAYS, "json": ALWAYS},
    "attack": _ATTACK,
    "blindness": {
        "scheme": ALWAYS,
        "custody": ALWAYS,
        "dataset": ALWAYS,
        "model": ALWAYS,
        "clients": ALWAYS,
        "rounds": ALWAYS,
        "seed": ALWAYS,
        "pieces": ALWAYS,
        "observed": ALWAYS,
        "json": ALWAYS,
    },
    "corrupt": {
        "seed": ALWAYS,
        "count": _WHOLE_SWEEP,
        "only": ALWAYS,
        "case": ALWAYS,
        "bare": _WHOLE_SWEEP,
        "workers": _WHOLE_SWEEP,
        "markdown": _WHOLE_SWEEP,
        "json": _WHOLE_SWEEP,
    },
    "faults": {
        "seed": ALWAYS,
        "count": ALWAYS,
        "processes": (
            _WITH_LOG,
            Rule(
                "at most --count of them",
                ("count",),
                lambda given: given["processes"] <= given["count"],
                "raise --count",
            ),
        ),
        "network": (
            _WITH_LOG,
            Rule(
                "at most what --processes leaves of --count",
                ("count", "processes"),
                lambda given: given["network"] <= given["count"] - _on_ray(given),
                "raise --count",
            ),
        ),
        "deadline": (
            _WITH_LOG,
            Rule(
                "faults on Ray",
                ("count", "processes"),
                lambda given: _on_ray(given) > 0,
                "leave it out, or add --processes",
            ),
        ),
        "without_log": ALWAYS,
        "json": ALWAYS,
    },
    "serve": {"role": ALWAYS, "config": ALWAYS},
    "room": {},
    "app": {"port": ALWAYS, "address": ALWAYS, "host": ALWAYS},
    "keys ceremony": {
        **_STORE,
        "scheme": ALWAYS,
        "custody": ALWAYS,
        "clients": ALWAYS,
        "rounds": ALWAYS,
        "json": ALWAYS,
    },
    "keys list": {**_STORE, "json": ALWAYS},
    "keys rotate": {**_STORE, "first_round": ALWAYS, "destroy_old": ALWAYS, "json": ALWAYS},
    "keys revoke": {**_STORE, "client": ALWAYS},
    "keys audit": {**_STORE, "json": ALWAYS},
    "provision request": {"party": ALWAYS, "home": ALWAYS, "again": ALWAYS},
    "provision issue": {
        **_TERMS,
        "requests": ALWAYS,
        "out": ALWAYS,
        "schema": (
            Rule(
                "an --experiment without dataset",
                ("experiment",),
                lambda given: "dataset=" not in given["experiment"],
                "leave dataset out of it: the clients bring their tables",
            ),
        ),
        "examples_max": (
            Rule(
                "--schema",
                ("schema",),
                lambda given: given["schema"] is not None,
                "leave it out: data that is dealt is counted",
            ),
        ),
    },
    "provision renew": {"requests": ALWAYS, "out": ALWAYS, "days": ALWAYS},
    "provision check": {"party": ALWAYS, "home": ALWAYS},
    "provision all": {**_TERMS, "folder": ALWAYS, "clients": ALWAYS, "rounds": ALWAYS, "coordinator": ALWAYS},
}
"""The rules of each parameter, by command and by the name of the parameter."""


def _on_ray(given: Given) -> int:
    return int(given["count"] // 6 if given["processes"] is None else given["processes"])


def guard(command: Any, path: str) -> None:
    """Have a command, or each command of a group, refuse what does not apply before it does anything."""
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            guard(inner, f"{path} {name}")
        return
    invoke, parse = command.invoke, command.parse_args

    def parsed(context: typer.Context, arguments: list[str]) -> list[str]:
        _require_once(context, arguments)
        return list(parse(context, arguments))

    def guarded(context: typer.Context) -> Any:
        _require(context, APPLIES[path])
        return invoke(context)

    command.parse_args, command.invoke = parsed, guarded


def _require_once(context: typer.Context, arguments: list[str]) -> None:
    """Refuse an option that is typed twice and takes one value: the last one would win in silence. Raises: ParameterError."""
    _, _, order = context.command.make_parser(context).parse_args(args=list(arguments))
    typed = Counter(one for one in order if one.param_type_name == "option" and not one.multiple)
    twice = next((one for one, times in typed.items() if times > 1), None)
    if twice is not None:
        raise ParameterError(f"{_name(twice)}: expected once, found {typed[twice]} times", "leave one of them out")


def _require(context: typer.Context, applies: Mapping[str, Rules]) -> None:
    """Check each parameter that was typed. Raises: ParameterError naming option, need, what was found, and what to do."""
    parameters = {str(one.name): one for one in context.command.params}
    for name, rules in applies.items():
        source = context.get_parameter_source(name)
        if source is None or source.name not in _TYPED:
            continue
        for rule in rules:
            if not rule.holds(context.params):
                found = " and ".join(_shown(parameters[by], context.params[by]) for by in rule.by)
                raise ParameterError(f"{_name(parameters[name])}: expected {rule.needs}, found {found}", rule.remedy)


def _name(parameter: Any) -> str:
    return max(parameter.opts, key=len) if parameter.param_type_name == "option" else str(parameter.name)


def _shown(parameter: Any, value: object) -> str:
    name = _name(parameter)
    if value is None or value == ():
        return f"no {name}"
    if isinstance(value, bool):
        return name if value else f"no {name}"
    return f"{name} {str(value)[:80]}"
