"""What HE does not stop: each attack that works despite encryption, its remedy as a switch, and the matrix of all.

One attack at a time with its remedy as a switch; then every attack from every seat.
"""

from __future__ import annotations

from functools import partial

import streamlit as st

from hefl_core.attacks import catalogue, ckks_key_lab, seat_matrix, trials
from hefl_core.attacks.lab import CLIENT, COALITION, COORDINATOR, PLAIN, SEATS
from hefl_core.attacks.methods import deviating_client, tampering
from hefl_core.attacks.methods.tampering import Desk, ForgeryVerdict
from hefl_core.attacks.result import AttackResult
from hefl_core.checks import lying_clients
from hefl_core.errors import HeflError
from hefl_core.federation.remarks import mean_remark
from hefl_core.figures import attacks as figures
from hefl_core.terms.experiment import Experiment
from pages.attack import encrypting_scheme, own_clients, result_of
from pages.parts import frame, labels, noted, predictions
from pages.parts.chart import chart
from pages.parts.i18n import _, numeral
from pages.parts.quoting import quoted

SEAT_NAMES = {
    PLAIN: "plain FL",
    COORDINATOR: "HE coordinator",
    CLIENT: "a client (mean)",
    COALITION: "coordinator + client",
    "model user": "model user",
}


@st.cache_data(max_entries=32, show_spinner=False)
def _collusion(scheme: str, threshold: int, clients: int, seed: int) -> AttackResult:
    return catalogue.run(
        "collusion", COALITION, scheme=scheme, threshold=threshold, clients=clients, trials=None, seed=seed
    )


@st.cache_data(max_entries=32, show_spinner=False)
def _key_recovery(recovery: ckks_key_lab.KeyRecovery) -> AttackResult:
    return trials.key_recovery(recovery)


@st.cache_resource(scope="session", max_entries=4, show_spinner=False)
def _desk(scheme: str, seed: int) -> Desk:
    return tampering.set_desk(scheme, seed=seed)


@st.cache_data(max_entries=32, show_spinner=False)
def _related(scheme: str, epoch_rounds: int, seed: int) -> AttackResult:
    return catalogue.run("related", scheme=scheme, epoch_rounds=epoch_rounds, seed=seed)


@st.cache_data(max_entries=32, show_spinner=False)
def _delta(scheme: str, epoch_rounds: int, deviation: str, seed: int) -> AttackResult:
    return catalogue.run("delta", scheme=scheme, epoch_rounds=epoch_rounds, deviation=deviation, seed=seed)


def page() -> None:
    """The whole page."""
    if not frame.presenter():
        st.title(_("What HE does not stop"), anchor=False)
        st.markdown(
            _(
                "HE (homomorphic encryption) lets the server add numbers that it cannot read. What can still be attacked, "
                "from which seat, and what stops it? The tabs run the attacks in this session."
            )
        )
    predictions.section("limits")
    frame.tabs(
        {
            _("All attacks"): _all,
            _("Collusion"): _collude,
            _("The sum itself"): _aggregate,
            _("Key heist"): _steal,
            _("Tampering desk"): _tamper,
            _("Wrong use"): _naive_schemes,
            _("A lying client"): _lie,
            _("Matrix"): _matrix,
        },
        key="limits:tab",
    )


# -- all of them ---------------------------------------------------------------------------------------------------


def _all() -> None:
    """Every attack with its remedy, and how many stay open."""
    heads = {
        "update": _("On what one hospital sends: encryption stops these at the server"),
        "aggregate": _("On the decrypted sum: encryption does not stop these"),
        "model": _("On the finished model: encryption does not stop these"),
        "cryptography": _("On careless use of encryption: right use stops these"),
        "use": _("By parties that cheat or work together: shared keys and checks stop some"),
    }
    for column, families in zip(st.columns(2, gap="large"), (("update",), catalogue.FAMILIES[1:]), strict=True):
        for family in families:
            lines = [_listed(attack) for attack in catalogue.of_family(family)]
            column.markdown(f"**{heads[family]}**\n" + "\n".join(lines))
    found = catalogue.overview()
    st.markdown(
        _(
            "**Answer:** of {all} attacks, encryption stops {server} at the server; {open} have no remedy here. The tabs run "
            "them; the last one runs all."
        ).format(all=found.attacks, server=found.at_the_server, open=found.unstopped)
    )


def _listed(attack: catalogue.Attack) -> str:
    sign = ":material/shield:" if attack.has_remedy else ":material/warning:"
    return f"- {sign} {_(attack.title)} → {_(attack.remedy)}"


# -- collusion and the sum -----------------------------------------------------------------------------------------


@st.fragment
def _collude() -> None:
    st.markdown(
        _(
            "The coordinator has each ciphertext, a client has a share of the key. Together they open another client's update, as "
            "soon as their shares reach the threshold. **Remedy: custody t of n.**"
        )
    )
    threshold = int(st.select_slider(_("Holders needed to decrypt"), (1, 2, 3, 4, 5), 1, key="limits:threshold"))
    with st.spinner(_("Dealing keys and colluding …")):
        found = _collusion(encrypting_scheme(), threshold, 5, frame.experiment().seed)
    chart(figures.coalition(found, dark=frame.dark()), key="limits:coalition")
    st.caption(found.note)
    st.markdown(
        _(
            "Below the threshold one client that **deviates** is enough, if the key stays: it mixes another's old upload into its "
            "own, and reads it from the next sum. **Remedy: a key epoch per round**, against this one."
        )
    )
    fresh = st.toggle(_("A new key for each round"), False, key="limits:related")
    with st.spinner(_("Mixing and decrypting …")):
        mixed = _related(encrypting_scheme(), 1 if fresh else 2, frame.experiment().seed)
    st.metric(_("Words of an old update read"), f"{mixed.value:.0%}", border=True)
    st.caption(mixed.note)
    _deviate(1 if fresh else 2)


def _deviate(epoch_rounds: int) -> None:
    """A deviating client reads the key through its own upload: no switch here prevents it."""
    st.markdown(
        _(
            "Under BFV and CKKS it can do worse: it adds a number to the second half of **its own** upload, and the opened sum "
            "gives it the key. **Remedy: none here.** A key for each round, the switch above, limits it to the rounds in which "
            "that client deviates; that clients follow the protocol is an assumption of collective custody."
        )
    )
    said = {
        deviating_client.NONE: _("follows the protocol"),
        deviating_client.LOUD: _("takes the key, and is noticed too late"),
        deviating_client.SILENT: _("takes the key, and hides it in its own answer"),
    }
    does = st.selectbox(
        _("What that client does"), deviating_client.DEVIATIONS, 1, said.__getitem__, key="limits:deviation"
    )
    with st.spinner(_("Deviating and decrypting …")):
        found = _delta(encrypting_scheme(), epoch_rounds, does, frame.experiment().seed)
    st.metric(_("Others' uploads of two rounds opened"), f"{found.value:.0%}", border=True)
    st.caption(found.note)


@st.fragment
def _aggregate() -> None:
    st.markdown(
        _(
            "Every client decrypts the mean, as it must. With two clients, the mean less one's own half is the other's update; and "
            "between two rounds, who left is the difference. **Remedies: more clients, stable cohorts, differential privacy.** "
            "Encryption changes none of these numbers."
        )
    )
    clients = int(st.select_slider(_("Clients K"), (2, 3, 5, 10, 32), 2, key="limits:clients"))
    seed = frame.experiment().seed
    with st.spinner(_("Training and subtracting …")):
        record = result_of("record", CLIENT, encrypting_scheme(), clients, seed)
        left = result_of("differencing", CLIENT, encrypting_scheme(), clients, seed)
    first, second = st.columns(2)
    first.metric(
        _("Another client's record, from the mean"),
        f"{record.value:.0f} dB",
        border=True,
        help=_("Mean PSNR over {trials} trials; above 30 dB it is the record.").format(trials=record.trials),
    )
    first.caption(labels.measured(record))
    second.metric(_("The client that left, found among 20"), f"{left.value:.0%}", border=True)
    second.caption(labels.measured(left))
    own_clients()


# -- the key heist ---------------------------------------------------------------------------------------------------


@st.fragment
def _steal() -> None:
    st.markdown(
        _(
            "CKKS decrypts to *nearly* the sum, and the rest is the key's fingerprint. A client that returns its decryption to the "
            "coordinator hands over the key (Li and Micciancio 2021), on the very ciphertexts of a round. **Remedies: return "
            "nothing (what hefl does), flood, rotate.**"
        )
    )
    left, middle, right = st.columns(3)
    returned = left.selectbox(_("What is returned"), (*ckks_key_lab.RETURNED_AS[:-2], "nothing"), key="limits:returned")
    noise = float(middle.select_slider(_("Flooding per number"), (1e-13, 1e-12, 1e-11, 1e-9), 1e-9, key="limits:noise"))
    rotated = right.toggle(_("Rotate the key after the answer"), key="limits:rotated")
    flooded = st.toggle(_("Under ckks-threshold, with the preset's own flooding"), key="limits:preset")
    chosen = (
        ckks_key_lab.KeyRecovery(scheme="ckks-threshold", returned="preset flooding", rotated=rotated)
        if flooded
        else ckks_key_lab.KeyRecovery(returned=returned, noise=noise, rotated=rotated)
    )
    with st.spinner(_("Solving for the key …")):
        found = _key_recovery(chosen)
    if found.value > 0:
        st.error(_("{share:.0%} of the updates opened. {note}").format(share=found.value, note=found.note))
    else:
        st.success(_("No update opened. {note}").format(note=found.note))
    if found.evidence:
        one, other = st.columns(2)
        chart(figures.key(found, dark=frame.dark()), key="limits:key", on=one)
        chart(figures.opened(found, dark=frame.dark()), key="limits:opened", on=other)


# -- the tampering desk ----------------------------------------------------------------------------------------------


@st.fragment
def _tamper() -> None:
    st.markdown(
        _(
            "Ciphertexts that can be added can be scaled and shifted without a key. Take the coordinator's seat and forge the sum; "
            "**the checks are switches**."
        )
    )
    on = [
        check
        for column, check in zip(st.columns(3), tampering.CHECKS, strict=True)
        if column.toggle(_(check), value=True, key=f"limits:check:{check}")
    ]
    desk = _desk(encrypting_scheme(), frame.experiment().seed)
    for forgery in tampering.FORGERIES:
        try:
            _row(tampering.judge(desk, forgery, on))
        except HeflError as error:
            st.success(
                _("**{forgery}**: {error}").format(forgery=_(forgery), error=quoted(error)), icon=":material/block:"
            )


def _row(verdict: ForgeryVerdict) -> None:
    said = _("**{forgery}**: the mean is off by {error:.2g}; ").format(forgery=_(verdict.forgery), error=verdict.error)
    if verdict.caught_by:
        st.success(
            said + _("caught by {checks}").format(checks=", ".join(_(check) for check in verdict.caught_by)),
            icon=":material/block:",
        )
    else:
        st.error(said + _("nobody notices"), icon=":material/warning:")


# -- wrong use, and the lying client ---------------------------------------------------------------------------------


@st.fragment
def _naive_schemes() -> None:
    seed = frame.experiment().seed
    scheme = encrypting_scheme()
    with st.spinner(_("Encoding …")):
        theirs = result_of("exponents", PLAIN, scheme, 5, seed)
        ours = result_of("exponents", COORDINATOR, scheme, 5, seed)
        parts = result_of("multi-key", COORDINATOR, scheme, 5, seed)
    st.markdown(
        _(
            "**phe's default encoding** publishes an exponent beside each ciphertext: it says how large the number is. "
            "**Remedy: integers of one common scale**, which is what hefl encrypts."
        )
    )
    picture = figures.silhouettes(
        theirs.array("record")[0], theirs.array("guess")[0], ours.array("guess")[0], 8, dark=frame.dark()
    )
    chart(picture, key="limits:silhouettes", config={"displayModeBar": False})
    st.caption(
        _(
            "Pixels told ink or no ink: {theirs:.0%} from the exponents, {ours:.0%} without them; guessing {prior:.0%}."
        ).format(theirs=theirs.value, ours=ours.value, prior=theirs.prior)
    )
    st.markdown(
        _(
            "**Multi-key, naively**: a client that publishes its decryption share of *its own* ciphertext publishes its update: "
            "{share:.0%} of {trials} opened, {note}. **Remedy: a joint key, and shares of the sum alone.**"
        ).format(share=parts.value, trials=parts.trials, note=parts.note)
    )


@st.cache_data(max_entries=8, show_spinner=False)
def _lies(scheme: str, seed: int, clip: float | None) -> lying_clients.Lies:
    return lying_clients.tell_all(
        Experiment(dataset="digits", clients=5, rounds=2, scheme=scheme, seed=seed, clip_norm=clip)
    )


@st.fragment
def _lie() -> None:
    scheme, seed = encrypting_scheme(), frame.experiment().seed
    st.markdown(
        _(
            "A client may cheat as well. Each line is a run of this session: five clients, two rounds, client 1 cheats in one "
            "way, everybody else is honest."
        )
    )
    clipped = st.toggle(_("Clip every update to norm {clip}").format(clip=lying_clients.CLIP), key="limits:clip")
    clip = lying_clients.CLIP if clipped else None
    noted.say([mean_remark(Experiment(clip_norm=clip))])
    with st.spinner(_("Running the protocol once per lie …")):
        lies = _lies(scheme, seed, clip)
    caught, missed = st.columns(2, gap="large")
    with caught:
        st.markdown(_("## Caught: {n} of {all}").format(n=len(lies.caught), all=len(lies.told)))
        for one in lies.caught:
            st.success(_caught(one), icon=":material/block:")
        st.caption(
            _(
                "A lie that is caught changes no model. Refused before the sum, it leaves the lying client out of the round, "
                "and the others go on as long as min_cohort of them remain; after a decryption nobody knows who it was, "
                "and the run ends."
            )
        )
    with missed:
        st.markdown(_("## Not caught: {n} of {all}").format(n=len(lies.missed), all=len(lies.told)))
        for one in lies.missed:
            st.error(_missed(one, lies.honest), icon=":material/warning:")
        st.caption(
            _(
                "**Remedy: none here.** A sum hides who put what into it; that is the promise, and the lying client's shelter. "
                "A clip limits how far a lie moves the mean, not where to. Norm checks of a single update under encryption need "
                "zero-knowledge proofs, which hefl does not have."
            )
        )
    with st.spinner(_("Training five rounds with and without a lying client …")):
        found = result_of("poisoning", CLIENT, scheme, 5, seed)
    st.markdown(_("**The last one, over five rounds**: accuracy lost {lost:.2f}.").format(lost=found.value))
    chart(figures.lying_client(found, dark=frame.dark()), key="limits:lying_client")
    st.caption(labels.measured(found))


def _caught(one: lying_clients.LieOutcome) -> str:
    """A lie, the parties that refused it, when, and the first party's reason."""
    when = _("after decrypting, before applying") if one.decrypted else _("before anything was decrypted")
    return _("**{title}**: refused by {n} ({who}) {when}. {reason}").format(
        title=one.title, n=len(one.refused_by), who=labels.several(one.refused_by), when=when, reason=quoted(one.reason)
    )


def _missed(one: lying_clients.LieOutcome, honest: lying_clients.LieOutcome) -> str:
    return _(
        "**{title}**: refused by 0, applied in {rounds} rounds; accuracy {accuracy:.3f}, all honest {usual:.3f}."
    ).format(title=one.title, rounds=one.applied, accuracy=one.accuracy, usual=honest.accuracy)


# -- the matrix ------------------------------------------------------------------------------------------------------


@st.fragment
def _matrix() -> None:
    results: dict[tuple[str, str], AttackResult] = st.session_state.setdefault("limits:results", {})
    st.markdown(
        _(
            "Each cell holds the number that this session measured; :material/play_arrow: runs it. Green: at chance. Under "
            "encryption every attack on an update must be, all cells together at α = 10⁻⁹."
        )
    )
    st.button(
        _("Run every cell but the pictures' (about a minute)"),
        key="limits:all",
        icon=":material/play_arrow:",
        on_click=_run_all,
    )
    heads = st.columns([3, *[2] * len(SEATS)])
    for column, name in zip(heads[1:], SEATS, strict=True):
        column.markdown(f"**{SEAT_NAMES[name]}**")
    for row in seat_matrix.cells(tuple(results.values())):
        known = next(cell for cell in row if cell is not None)
        columns = st.columns([3, *[2] * len(SEATS)], vertical_alignment="center")
        columns[0].markdown(_(known.attack.title), help=f"{known.attack.source}. {_(known.attack.remedy)}")
        for column, cell in zip(columns[1:], row, strict=True):
            if cell is not None:
                _cell(column, cell)
    chance, smallest = seat_matrix.family_at_chance(tuple(results.values()))
    if any(result.seat == COORDINATOR and result.p_value is not None for result in results.values()):
        text = _("Ciphertext cells so far: smallest corrected p-value {p:.2g}.").format(p=smallest)
        (st.success if chance else st.error)(text)


def _cell(column, cell: seat_matrix.MatrixCell) -> None:  # type: ignore[no-untyped-def]
    result = cell.result
    if result is None:
        column.button(
            "",
            icon=":material/play_arrow:",
            key=f"limits:run:{cell.attack.name}:{cell.seat}",
            on_click=partial(_run, cell.attack.name, cell.seat),
            help=_("Run {title}").format(title=_(cell.attack.title)),
        )
        return
    colour = "green" if result.at_chance() else "orange" if result.p_value is None else "red"
    column.markdown(
        f":{colour}-badge[{numeral(f'{result.value:.3g}')}]", help=f"{_(result.metric)}; {labels.measured(result)}"
    )


def _run(name: str, seat: str) -> None:
    found = result_of(name, seat, encrypting_scheme(), 5, frame.experiment().seed)
    st.session_state["limits:results"][name, seat] = found


def _run_all() -> None:
    for row in seat_matrix.cells():
        for cell in row:
            if cell is not None and cell.attack.name not in catalogue.MINUTES:
                _run(cell.attack.name, cell.seat)


if __name__ == "__main__":  # Streamlit runs a page under this name; other pages import from it
    page()
