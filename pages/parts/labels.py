"""Names of parties, messages and states on the pages."""

from __future__ import annotations

from collections.abc import Sequence

from hefl_core.attacks.result import AttackResult
from hefl_core.figures.knowledge import Secret
from hefl_core.shown import bare_name
from pages.parts.i18n import _

MOST_TOGETHER = 8


def party(seat: str) -> str:
    """A party, or several that collude."""
    first, *others = seat.split("+")[:MOST_TOGETHER]
    return " + ".join([_one(first), *(_("client {n}").format(n=_number(name)) for name in others)])


def _number(name: str) -> str:
    """A client's number."""
    return bare_name(name).removeprefix("client-")


def _one(name: str) -> str:
    """Only the word that is asked for is looked up: a step of the matrix asks some hundred times."""
    match name:
        case "observer":
            return _("Everything (observer)")
        case "coordinator":
            return _("Coordinator")
        case "auditor":
            return _("Auditor")
        case "kms":
            return _("KMS")
        case "eavesdropper":
            return _("Eavesdropper")
    return _("Client {n}").format(n=_number(name))


def several(parties: Sequence[str]) -> str:
    """A list of parties; more than two clients are counted."""
    clients = [name for name in parties if name.startswith("client-")]
    others = [party(name) for name in parties if name not in clients]
    said = [_("{n} clients").format(n=len(clients))] if len(clients) > 2 else [party(name) for name in clients]
    return ", ".join([*others, *said])


def steps() -> dict[str, str]:
    """Messages, by their kind."""
    return {
        "roster": _("who takes part"),
        "epoch": _("public key"),
        "share": _("secret key, sealed"),
        "plan": _("plan"),
        "commitment": _("commitment"),
        "commitments": _("all commitments"),
        "acknowledgement": _("the auditor has the list"),
        "update": _("encrypted update"),
        "objection": _("the auditor lacks updates"),
        "sum": _("encrypted sum"),
        "confirmation": _("confirmation"),
        "ready": _("ready to decrypt"),
        "request": _("request to decrypt"),
        "partial": _("partial decryption"),
        "receipt": _("receipt"),
        "ceremony nonce commitment": _("random number, committed"),
        "ceremony nonce reveal": _("random number, shown"),
        "ceremony key commitment": _("key part, committed"),
        "ceremony key reveal": _("key part, shown"),
        "ceremony deal": _("piece of a share, sealed"),
        "ceremony test commitment": _("self-test, committed"),
        "ceremony test reveal": _("self-test, shown"),
        "ceremony partial": _("self-test decryption"),
        "ceremony approval": _("approval of the key"),
    }


def works() -> dict[str, str]:
    """A party's work before it sends a message."""
    return {
        "train": _("trained"),
        "encrypt": _("encrypted"),
        "seal": _("sealed"),
        "admit": _("checked"),
        "aggregate": _("added"),
        "confirm": _("added again"),
        "partial": _("decrypted its part"),
        "decrypt": _("decrypted"),
    }


def locks() -> dict[str, str]:
    """What a seat has of a message."""
    return {
        "open": _("readable"),
        "ciphertext": _("ciphertext, locked"),
        "sealed": _("sealed for others"),
        "opened": _("ciphertext it can open"),
        "absent": _("not received"),
    }


def states() -> dict[str, str]:
    """What a seat has of a secret."""
    return {
        "not yet": _("does not exist yet"),
        "nothing": _("has nothing of it"),
        "sealed": _("has sealed bytes only"),
        "ciphertext": _("has the ciphertext, no key"),
        "share": _("has too few shares"),
        "dealt": _("dealt it and deleted it"),
        "can open": _("can open it"),
        "knows": _("knows it"),
    }


def secret(what: Secret) -> str:
    """A secret's full name."""
    return {
        "key": _("the secret key"),
        "update": _("the update of {who}").format(who=party(what.owner).lower()),
        "sum": _("the sum of the updates"),
        "model": _("the model after the round"),
        "records": _("the records of {who}").format(who=party(what.owner).lower()),
    }[what.kind]


_BELOW = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def symbol(what: Secret) -> str:
    """A secret's symbol, as formulas have it."""
    number = bare_name(what.owner.removeprefix("client-")).translate(_BELOW)
    return {"key": "sk", "update": f"Δ{number}", "sum": "Σ", "model": "θ", "records": _("records")}[what.kind]


def column(what: Secret) -> str:
    """A secret's column heading: the word first, its symbol after it."""
    words = {
        "key": _("secret key ({symbol})"),
        "update": _("update of client {n} ({symbol})"),
        "sum": _("sum ({symbol})"),
        "model": _("model ({symbol})"),
        "records": _("records"),
    }[what.kind]
    return words.format(n=bare_name(what.owner.removeprefix("client-")), symbol=symbol(what))


def measured(result: AttackResult) -> str:
    """An attack's interval, baseline, trials and source; one trial has no interval."""
    note = f"{result.note[0].upper()}{result.note[1:]}." if result.note else ""
    if result.trials == 1:
        return _("{prior_is}: {prior:.3g}; one trial. {note} {source}.").format(
            prior_is=_(result.prior_is), prior=result.prior, note=note, source=result.source
        )
    return _("95 %: {low:.3g} to {high:.3g}; {prior_is}: {prior:.3g}; {trials} trials. {note} {source}.").format(
        low=result.low,
        high=result.high,
        prior_is=_(result.prior_is),
        prior=result.prior,
        trials=result.trials,
        note=note,
        source=result.source,
    )
