"""The formula of a step with this run's own numbers, as LaTeX. A value unknown to the seat is a black square."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hefl_core.federation.client import Observation
from hefl_core.federation.record.transcript import Transcript
from hefl_core.figures.knowledge import EPOCH, ROSTER, SHARE, Matrix
from hefl_core.figures.sequence import Message, Observations
from hefl_core.figures.thing import ciphertext_of
from hefl_core.ids import OBSERVER
from hefl_core.keys.epochs import EpochAnnouncement
from hefl_core.schemes.presets import BFVPreset, CKKSPreset, OneTimePreset, PaillierPreset, Preset
from hefl_core.schemes.registry import load_preset
from hefl_core.shown import bare_name
from hefl_core.terms import messages as m
from hefl_core.terms.messages import DecryptionRequest, EncryptedSum, RoundPlan
from hefl_core.wire.canonical import decode

HIDDEN = r"\blacksquare"
MOST_TERMS = 2


def formula(transcript: Transcript, message: Message, matrix: Matrix, seat: str, observations: Observations) -> str:
    """LaTeX lines for a message; empty where this seat never receives it."""
    if message.lock == "absent":
        return ""
    return _Numbers(transcript, message, matrix, seat, observations).lines()


class _Numbers:
    """This run's numbers for one message, as far as one seat has them. ``entry``: the entry that moved most."""

    def __init__(
        self, transcript: Transcript, message: Message, matrix: Matrix, seat: str, observations: Observations
    ) -> None:
        self.transcript, self.message, self.matrix, self.seat = transcript, message, matrix, seat
        self.sent = transcript.sent[message.number - 1]
        self.seen = {item.client: item for item in observations.get(message.round, ())}
        self.plan = self._plan()
        mean = next((np.frombuffer(i.applied) for i in self.seen.values() if i.applied), None)
        self.mean = mean
        self.entry = int(np.argmax(np.abs(mean))) if mean is not None else 0

    def lines(self) -> str:
        makers: dict[str, Callable[[], Sequence[str]]] = {
            ROSTER: self._roster,
            EPOCH: self._epoch,
            SHARE: self._share,
            m.PLAN: self._of_plan,
            m.COMMITMENT: self._commitment,
            m.COMMITMENTS: self._commitments,
            m.UPDATE: self._update,
            m.SUM: self._sum,
            m.CONFIRMATION: self._confirmation,
            m.REQUEST: self._request,
            m.PARTIAL: self._partial,
            m.RECEIPT: self._receipt,
        }
        maker = makers.get(self.sent.step)
        if maker is None:
            return ""
        return r"\begin{gathered}" + r"\\[4pt] ".join(maker()) + r"\end{gathered}"

    # -- what is known -----------------------------------------------------------------------------------------

    def _knows(self, secret: str) -> bool:
        return self.seat == OBSERVER or self.matrix.cell(self.seat, secret).state.readable

    def _update_of(self, client: str) -> Observation | None:
        return self.seen.get(client) if self._knows(f"update/{client}") else None

    def _entry(self, client: str) -> str:
        seen = self._update_of(client)
        return _number(float(np.frombuffer(seen.update)[self.entry])) if seen else HIDDEN

    def _weighted(self, client: str) -> str:
        seen = self._update_of(client)
        if seen is None:
            return HIDDEN
        return _number(float(np.frombuffer(seen.update)[self.entry]) * seen.examples / self._most)

    def _count(self, client: str) -> str:
        seen = self._update_of(client)
        return str(seen.examples) if seen else HIDDEN

    @property
    def _most(self) -> int:
        return self.transcript.manifest.examples_max

    def _plan(self) -> RoundPlan | None:
        for sent in self.transcript.of_round(self.message.round):
            content = self.transcript.content(sent) if sent.step == m.PLAN else None
            if content is not None:
                return decode(content, RoundPlan)
        return None

    # -- step by step ------------------------------------------------------------------------------------------

    def _roster(self) -> list[str]:
        return [
            rf"\mathcal{{R}}=\{{(\text{{name}},\,pk^{{\text{{sign}}}},\,pk^{{\text{{seal}}}})\}},"
            rf"\quad |\mathcal{{R}}|={len(self.sent.receivers) + 1}",
            r"\sigma=\mathsf{Sign}_{\text{KMS}}(\mathcal{R})",
        ]

    def _epoch(self) -> list[str]:
        content = self.transcript.content(self.sent)
        if content is None:
            return []
        said = decode(content, EpochAnnouncement)
        held = said.record.quorum
        return [
            rf"(pk,\,sk)\leftarrow\mathsf{{KeyGen}}({_parameters(load_preset(said.record.preset))})",
            rf"sk \text{{ held }} {held.threshold} \text{{ of }} {held.holders},\quad "
            rf"\mathsf{{id}}={_hex(said.public_key.id.fingerprint[:12])}",
        ]

    def _share(self) -> list[str]:
        to = _name(self.sent.receivers[0])
        quorum = self.transcript.manifest.experiment.quorum
        inside = rf"sk_{{{to}}}" if quorum.collective else "sk"
        first = rf"\mathsf{{HPKE}}.\mathsf{{Seal}}_{{pk_{{{to}}}}}({inside})\;\to\;{self.sent.nbytes:,}\ \text{{bytes}}"
        if not quorum.collective:
            return [first, r"\text{every client: the same } sk"]
        return [first, rf"sk=\sum_{{i\in A}}\lambda_i\,sk_i \quad\text{{for any }} |A|={quorum.threshold}"]

    def _of_plan(self) -> list[str]:
        if self.plan is None:
            return []
        lines = [
            rf"\text{{cohort }} K={len(self.plan.cohort)},\quad \Delta_k\in\mathbb{{R}}^{{{self.plan.length}}}",
        ]
        if self.plan.bound is not None:
            most = f"n_{{\\max}}={self.plan.examples_max}"
            weighted = r"\max_j\left|\tfrac{n_k}{n_{\max}}\Delta_k[j]\right|"
            lines.append(rf"{weighted}\le {self.plan.bound:g},\quad {most}")
        if self.plan.theta_0 is not None:
            start = np.frombuffer(self.plan.theta_0, "<f4")
            lines.append(rf"\theta_0[{self.entry}]={_number(float(start[self.entry]))}\quad\text{{(public)}}")
        return lines

    def _commitment(self) -> list[str]:
        who = _name(self.sent.sender)
        content = self.transcript.content(self.sent)
        digest = decode(content, m.Commitment).ciphertext_digest.hex()[:12] if content else ""
        return [
            rf"\Delta_{{{who}}}=\theta_{{{who}}}-\theta,\qquad \Delta_{{{who}}}[{self.entry}]={self._entry(self.sent.sender)}",
            rf"h_{{{who}}}=\mathsf{{SHA256}}(c_{{{who}}})={_hex(digest)}",
        ]

    def _commitments(self) -> list[str]:
        content = self.transcript.content(self.sent)
        if content is None:
            return []
        listed = decode(content, m.CommitmentList)
        names = ",".join(rf"h_{{{_name(name)}}}" for name in listed.senders[:8])
        return [rf"\mathsf{{SHA256}}({names})={_hex(listed.digest.hex()[:12])}"]

    def _update(self) -> list[str]:
        client = self.sent.sender
        who = _name(client)
        vector = ciphertext_of(self.transcript, self.sent)
        size = f"{vector.nbytes:,}" if vector else f"{self.sent.nbytes:,}"
        update = rf"\tfrac{{n_{{{who}}}}}{{n_{{\max}}}}\,\Delta_{{{who}}}"
        encrypted = rf"\mathsf{{Enc}}_{{pk}}\!\left({update}\right)"
        if self._one_time is not None:  # only the key that is used once is encrypted; it hides the update
            hidden = rf"a\,s_{{{who}}}+e_{{{who}}}+2^{{{self._one_time.scale_bits}}}\,{update}"
            encrypted = rf"\left(\mathsf{{Enc}}_{{pk}}(s_{{{who}}}),\;{hidden}\right)"
        return [
            rf"c_{{{who}}}={encrypted}\;\to\;{size}\ \text{{bytes}}",
            rf"\tfrac{{{self._count(client)}}}{{{self._most}}}\cdot {_bracket(self._entry(client))}={self._weighted(client)}"
            rf"\quad (j={self.entry})",
        ]

    def _contributors(self) -> tuple[str, ...]:
        sums = [s for s in self.transcript.of_round(self.message.round) if s.step == m.SUM]
        content = self.transcript.content(sums[-1]) if sums else None
        return tuple(h.header.sender for h in decode(content, EncryptedSum).updates) if content else ()

    def _terms(self) -> str:
        names = self._contributors()
        shown = [_bracket(self._weighted(name)) for name in names[:MOST_TERMS]]
        return " + ".join([*shown, r"\cdots"] if len(names) > MOST_TERMS else shown)

    def _total(self) -> str:
        if self.mean is None or not self._knows("sum"):
            return HIDDEN
        return _number(float(self.mean[self.entry]) * self._examples / self._most)

    @property
    def _examples(self) -> int:
        return sum(self.seen[name].examples for name in self._contributors() if name in self.seen)

    def _sum(self) -> list[str]:
        names = self._contributors()
        return [
            rf"C=c_1\boxplus\cdots\boxplus c_{{{len(names)}}}",
            rf"\mathsf{{Dec}}(C)[j]=\textstyle\sum_k\tfrac{{n_k}}{{n_{{\max}}}}\Delta_k[j],\quad j={self.entry}",
            rf"{self._terms()} = {self._total()}",
            *([] if self._one_time is None else [_ONE_TIME_SUM]),
        ]

    @property
    def _one_time(self) -> OneTimePreset | None:
        preset = load_preset(self.transcript.manifest.experiment.scheme)
        return preset if isinstance(preset, OneTimePreset) else None

    def _confirmation(self) -> list[str]:
        content = self.transcript.content(self.sent)
        blocks = decode(content, m.Confirmation).blocks if content else ()
        digest = blocks[0].hex()[:12] if blocks else ""
        return [
            r"C'=\boxplus_k c_k\quad\text{(added again, without a key)}",
            rf"\mathsf{{SHA256}}(C'_1)={_hex(digest)}=\mathsf{{SHA256}}(C_1)",
        ]

    def _request(self) -> list[str]:
        content = self.transcript.content(self.sent)
        active = decode(content, DecryptionRequest).active if content else ()
        names = ",\\,".join(_name(name) for name in active)
        return [rf"A=\{{{names}\}},\quad |A|=t={len(active)}"]

    def _partial(self) -> list[str]:
        who = _name(self.sent.sender)
        opened = "C" if self._one_time is None else r"\mathsf{Enc}_{pk}(S)"
        return [rf"p_{{{who}}}=\mathsf{{PartDec}}(sk_{{{who}}},\,{opened})+e_{{\text{{flood}}}}"]

    def _receipt(self) -> list[str]:
        mean = HIDDEN if self.mean is None or not self._knows("sum") else _number(float(self.mean[self.entry]))
        examples = str(self._examples) if self.mean is not None and self._knows("sum") else HIDDEN
        return [
            rf"\bar\Delta[{self.entry}]=\tfrac{{{self._most}}}{{{examples}}}\cdot {_bracket(self._total())}={mean}",
            r"\theta\leftarrow\theta+\bar\Delta",
        ]


_ONE_TIME_SUM = r"C=\left(\mathsf{Enc}_{pk}(S),\,B\right),\quad S=\textstyle\sum_k s_k,\quad B-a\,S=2^{10}\sum_k m_k+E"
"""What a sum of one-time keys opens."""


def _name(party: str) -> str:
    """client-2 is 2 in a subscript."""
    return bare_name(party.removeprefix("client-"))


def _number(value: float) -> str:
    return f"{value:+.5f}" if abs(value) >= 1e-4 else f"{value:+.2e}"


def _bracket(text: str) -> str:
    return f"({text})" if text[:1] in "+-" else text


def _hex(text: str) -> str:
    return rf"\mathtt{{{bare_name(text)}}}\ldots"


def _parameters(preset: Preset) -> str:
    if isinstance(preset, BFVPreset):
        return rf"N={preset.degree},\ \log_2 q={preset.data_bits},\ \log_2 t={preset.plain_bits}"
    if isinstance(preset, OneTimePreset):
        return rf"N={preset.degree},\ \log_2 q={preset.modulus_bits},\ \Delta=2^{{{preset.scale_bits}}}"
    if isinstance(preset, CKKSPreset):
        return rf"N={preset.degree},\ \log_2 q={preset.data_bits},\ \text{{scale}}=2^{{{preset.scale_bits}}}"
    if isinstance(preset, PaillierPreset):
        return rf"n=pq,\ \log_2 n={preset.modulus_bits}"
    return r"\text{no encryption}"


def error_line(found: float | None, bound: float | None) -> str:
    """The largest error of a round against the mean of what was sent, beside the promised bound."""
    if found is None or bound is None:
        return ""
    return rf"\max_j|\text{{error}}|={_scientific(found)}\;\le\;{_scientific(bound)}"


def _scientific(value: float) -> str:
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return rf"{mantissa}\cdot 10^{{{int(exponent)}}}"
