"""A step's meaning in one or two plain sentences, and the claims that belong to it."""

from __future__ import annotations

from hefl_core.figures.questions import Question
from hefl_core.figures.sequence import Message
from pages.parts import labels
from pages.parts.i18n import _

CLAIMS: dict[str, tuple[str, ...]] = {
    "share": ("shares-sealed",),
    "commitment": ("labels-checked",),
    "update": ("coordinator-blind", "fresh-ciphertexts", "scheme-security"),
    "sum": ("coordinator-blind", "scheme-security"),
    "confirmation": ("sums-confirmed",),
    "partial": ("coordinator-blind",),
    "receipt": ("equals-fedavg", "one-model"),
}
"""Claims of the ledger (hefl_core/checks/claims/ledger.py) shown beside a step."""


def tell(message: Message, *, plain: bool) -> str:
    """The step in words."""
    who = labels.party(message.sender)
    to = labels.party(message.receivers[0])
    if message.lock == "absent":
        return _("Something may be under way between others. This seat gets nothing of it, not even its size.")
    if plain and message.step in ("update", "sum"):
        return _("**No encryption in this run:** whoever carries this message reads it. INSECURE, for comparison only.")
    told = {
        "roster": _("The KMS signs who takes part: names and public keys. Nobody can slip in keys of their own."),
        "epoch": _("The KMS announces the public key of this epoch. It encrypts and adds; it cannot decrypt."),
        "share": _("The secret key (or a share of it) travels to {to} alone, sealed so that no relay can read it."),
        "plan": _("The coordinator asks the cohort for one round of training, and says how large an update may be."),
        "commitment": _(
            "{who} has trained and encrypted at home. Only the fingerprint of its ciphertext leaves for now."
        ),
        "commitments": _(
            "All fingerprints are published: from here on nobody can choose a ciphertext after seeing others."
        ),
        "acknowledgement": _(
            "The auditor has the same list. Before that nobody uploads: a second list for somebody else would be found."
        ),
        "update": _("{who} hands over its encrypted update. The coordinator can count it and add it, not read it."),
        "objection": _(
            "The auditor did not get every listed update, or cannot read one. Another attempt follows before anything is added."
        ),
        "sum": _("The coordinator added the ciphertexts without any key. The sum is still locked, also for itself."),
        "confirmation": _(
            "The auditor added the same ciphertexts again and got the same bytes. Now clients may open them."
        ),
        "ready": _("{who} has the confirmed sum and would help to decrypt it."),
        "request": _("The coordinator names the holders who answer, once, for this sum and no other."),
        "partial": _("{who} contributes its part of the decryption, with noise on top, sealed to the clients."),
        "receipt": _(
            "{who} checked, decrypted and applied the sum: its model moved. The coordinator learns only that."
        ),
        "ceremony nonce commitment": _("{who} commits to a random number: nobody can choose the ring's seed alone."),
        "ceremony nonce reveal": _("{who} shows its random number. Together they give the public seed."),
        "ceremony key commitment": _("{who} commits to its part of the public key before it has seen another's."),
        "ceremony key reveal": _("{who} shows its part of the public key. The whole secret key exists nowhere."),
        "ceremony deal": _("{who} gives {to} a piece of its secret, sealed, so that any quorum can stand in for all."),
        "ceremony test commitment": _("{who} commits to a test ciphertext: the new key is tried before it is used."),
        "ceremony test reveal": _("{who} shows its test."),
        "ceremony partial": _("{who} decrypts its part of the test sum."),
        "ceremony approval": _("{who} signs that the key works. Without every client's signature it is not used."),
    }
    text = told.get(message.step, _("{who} sends a step of the key ceremony.")).format(who=who, to=to)
    if message.lock == "opened":
        text += " " + _("**This seat has the key to it.**")
    return text


def question(asked: Question) -> tuple[str, list[str], str]:
    """The question, its options in order, and the sentence with the run's own numbers."""
    e = asked.evidence
    if asked.id == "who-holds":
        return (
            _("Before it is dealt: who will be able to decrypt alone?"),
            [_("the coordinator"), _("every client"), _("nobody alone; shares must come together"), _("nobody at all")],
            _("In this run {n} clients got a sealed message of the KMS, and {t} of them can decrypt.").format(
                n=e[0], t=e[1]
            ),
        )
    if asked.id == "how-large":
        return (
            _("The plain update has {n} bytes. How large is the encrypted one?").format(n=e[0]),
            [_("about the same"), _("2 to 10 times larger"), _("10 to 100 times larger"), _("more than 100 times")],
            _("{size} bytes, {ratio} times the plain update.").format(size=e[1], ratio=e[2]),
        )
    return (
        _("The coordinator now adds all updates. What will it be able to read?"),
        [_("nothing"), _("the sum, no single update"), _("every update")],
        _("From its messages it can read {n} of {of} updates.").format(n=e[0], of=e[1]),
    )
