"""Keys: how a key is made and dealt, what each party holds, and what rotating, revoking and stealing do.

The ceremony of this session's run, and a playground with its own KMS for rotation, revocation and theft.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import streamlit as st

from hefl_core.app.key_life import KeyLife
from hefl_core.app.key_playground import EpochLine, KeyPlayground, Sizes, Tried
from hefl_core.errors import HeflError, ParameterError
from hefl_core.federation.record.transcript import Transcript, newest_roster
from hefl_core.figures.knowledge import knowledge
from hefl_core.figures.sequence import chapters, picture
from hefl_core.ids import OBSERVER
from hefl_core.keys.ceremony import message_count
from hefl_core.keys.collusion import KMS_AND_COORDINATOR
from hefl_core.keys.epochs import DEALER_FREE, EpochState
from hefl_core.schemes.presets import PRESETS
from hefl_core.terms.experiment import Experiment
from pages import one_round
from pages.parts import frame, html, labels, noted, run_progress
from pages.parts.frame import DEFAULT
from pages.parts.i18n import _, numeral
from pages.parts.quoting import in_html, quoted
from pages.parts.stepper import stepper

STYLE = """<style>
.epochs { display: flex; gap: .5rem; flex-wrap: wrap; }
.epoch { border-radius: .7rem; padding: .7rem .9rem; background: var(--st-secondary-background-color, #8881);
  min-width: 15rem; flex: 1; border-top: 5px solid var(--tone); }
.epoch h3 { margin: 0 0 .3rem; font-size: 1.1rem; padding: 0; } .epoch code { font-size: .8rem; }
.epoch .facts { font-size: 1rem; grid-template-columns: 6.2rem 1fr; } .epoch .facts b { opacity: 1; font-weight: 650; }
.epoch .chip { border-radius: .4rem; padding: .05rem .45rem; font-weight: 600; white-space: nowrap;
  display: inline-block; margin: .1rem 0; }
.then { align-self: center; font-size: 1.5rem; }
@media (max-width: 700px) { .then { display: none; } .epoch { min-width: 0; flex-basis: 100%; } }
.sizes { display: grid; grid-template-columns: auto 1fr auto; gap: .3rem .8rem; align-items: center; font-size: .92rem; }
.sizes i { display: block; height: .9rem; border-radius: .25rem; min-width: 2px; }
.sizes b { font-weight: 500; } .sizes span { font-variant-numeric: tabular-nums; text-align: right; }
</style>"""


def page() -> None:
    """The whole page."""
    st.html(html.STYLE + STYLE)
    _head()
    error = st.session_state.pop("hold-error", None)
    if error is not None:
        frame.explain(error)
    for reason in frame.experiment().insecure:
        st.markdown(f":red-badge[:material/lock_open: INSECURE] {reason}")
    st.header(_("Epochs: the life of a key"), anchor=False)
    _key_life()
    st.divider()
    st.header(_("How this session's run got its key"), anchor=False)
    noted.say_custody(frame.experiment())
    _rounds_per_key(frame.experiment())
    _ceremony()
    with st.expander(_("What the KMS and the coordinator can do together")):
        st.markdown("\n".join(f"- {_(sentence)}" for sentence in KMS_AND_COORDINATOR))


def _head() -> None:
    """Title, and the slider from 'each alone' to 'all together'."""
    chosen = frame.experiment()
    left, middle, right = st.columns([30, 45, 25], vertical_alignment="center", gap="medium")
    if not frame.presenter():
        left.title(_("Keys"), anchor=False)
    with middle:
        if st.session_state.get("keys:shown") != chosen.custody:
            st.session_state["keys:shown"] = chosen.custody
            st.session_state["keys:threshold"] = chosen.quorum.threshold
            st.session_state["keys:dealer-free"] = chosen.custody.startswith("dealer-free")
        st.select_slider(
            _("Who must come together to decrypt"),
            list(range(1, chosen.clients + 1)),
            format_func=lambda t: _holders(t, chosen.clients),
            key="keys:threshold",
            on_change=_hold,
        )
    right.toggle(
        _("No dealer"),
        key="keys:dealer-free",
        disabled=chosen.quorum.threshold == 1,
        on_change=_hold,
        help=_("The clients make the key together. Otherwise the KMS makes and deals it, and deletes its own copy."),
    )
    st.markdown(
        _(
            "Who makes the key, who gets it, and what opens when it is stolen? A key serves a period of rounds, its **epoch**. The "
            "**KMS** (key management service) makes a key for each epoch and deals it to the hospitals (clients)."
        )
    )
    preset = PRESETS[chosen.scheme]
    st.caption(
        _("{scheme}: {bits}-bit security ({standard}); held {quorum}.").format(
            scheme=chosen.scheme,
            bits=preset.security_bits,
            standard=preset.security_standard,
            quorum=_holders(chosen.quorum.threshold, chosen.clients),
        )
    )


def _rounds_per_key(chosen: Experiment) -> None:
    """The rounds under one shared key, and what more or fewer of them cost."""
    if chosen.quorum.threshold == 1:
        return
    left, right = st.columns([30, 70], vertical_alignment="center", gap="medium")
    left.number_input(
        _("Rounds under one key"),
        1,
        chosen.rounds,
        min(chosen.rounds, chosen.rounds_per_epoch),
        key=f"keys:rounds:{chosen.custody}:{chosen.rounds}",
        on_change=_live,
        args=(chosen,),
    )
    if chosen.rounds_per_epoch == 1:
        right.caption(
            _(
                "A new key for each round: an old upload that is mixed into a later one opens to nothing. Under BFV and CKKS a "
                "client that deviates can still read the key of the rounds in which it does."
            )
        )
    else:
        right.caption(
            _(
                "One key for {n} rounds: a client that deviates can, with the coordinator, mix another's old upload into its own "
                "and read it from the next sum; under BFV and CKKS it can read the key itself, and with it all {n} rounds."
            ).format(n=min(chosen.rounds, chosen.rounds_per_epoch))
        )
    if chosen.custody.startswith(DEALER_FREE):
        count = message_count(chosen.clients)
        right.caption(
            _("Each new key costs a ceremony of {count} messages, and every client must be there.").format(count=count)
        )


def _live(chosen: Experiment) -> None:
    rounds = st.session_state[f"keys:rounds:{chosen.custody}:{chosen.rounds}"]
    frame.live(int(rounds))


def _holders(threshold: int, clients: int) -> str:
    if threshold == 1:
        return _("each client alone")
    return _("{t} of {n}").format(t=threshold, n=clients)


def _hold() -> None:
    state = st.session_state
    frame.hold(state["keys:threshold"], dealer_free=state["keys:dealer-free"] and state["keys:threshold"] > 1)


# -- the ceremony ----------------------------------------------------------------------------------------------


def _ceremony() -> None:
    run = run_progress.ensure_run()
    if run is not None and (roster := newest_roster(run.transcript)) is not None:
        st.caption(
            _(
                "Roster fingerprint `{fingerprint}`: between organisations, compare it by telephone; whoever has the same "
                "sees the same parties with the same keys."
            ).format(fingerprint=roster.fingerprint)
        )
    if run is not None:
        _walk_ceremony(run.transcript, f"run-{frame.session().number}", frame.session().result is not None)


@st.fragment
def _walk_ceremony(transcript: Transcript, name: str, finished: bool) -> None:
    """Walk the messages of the first key epoch."""
    last = chapters(transcript)[0].last
    scene = picture(transcript, OBSERVER)
    scene |= {"messages": scene["messages"][:last], "chapters": scene["chapters"][:1]}
    left, right = st.columns([58, 42], gap="medium")
    with left:
        position, _clicked = stepper(
            scene,
            last,
            key=f"ceremony-{name}",
            dark=frame.dark(),
            presenter=frame.presenter(),
            run=name,
            height=340 if frame.presenter() else 260,
        )
    found = knowledge(transcript, position)
    done = frame.session().result
    walked = one_round.Walked(name, transcript, {}, done.claims if done and finished else (), ())
    with right, st.container(key="follows-ceremony"):
        one_round.views(walked, found, OBSERVER, position)


# -- epochs ----------------------------------------------------------------------------------------------------


@st.cache_resource(show_spinner=False)
def _example() -> KeyLife:
    """The life of a key that each client holds alone: made once in a server, shown while another one is being made."""
    life = KeyLife(DEFAULT.scheme, 3, "individual")
    life.start()
    return life


def _life() -> KeyLife:
    """This session's playground for the sidebar's preset, clients and custody; started where there is none."""
    chosen = frame.experiment()
    wanted = (chosen.scheme, chosen.clients, chosen.custody.removeprefix("dealer-free:"))
    life: KeyLife | None = st.session_state.get("key_life")
    if life is None or life.wanted != wanted:
        life = st.session_state["key_life"] = KeyLife(*wanted)
        life.start()
        life.wait(run_progress.PATIENCE_SECONDS)
    return life


def _key_life() -> None:
    """The epochs: the example until this session's own are made, or why they cannot be made."""
    life = _life()
    if life.playground is not None:
        _epochs(life.playground, life.not_revoked)
    elif life.error is not None:
        frame.explain(life.error)
        if isinstance(life.error, ParameterError):
            st.button(_("Hold the key individually"), on_click=frame.hold, args=(1,), key="hold-alone")
    else:
        _meanwhile(life)


def _meanwhile(life: KeyLife) -> None:
    """Another key's life, and that it is another's; the page is drawn again when its own is there."""
    scheme, clients, _custody = life.wanted
    held = _holders(frame.experiment().quorum.threshold, clients)
    st.info(
        _(
            "Example: a key that each of three clients holds alone. Three keys of your own settings ({scheme}, {held}) are being "
            "made now, stolen and tried; they replace it in some seconds."
        ).format(scheme=scheme, held=held),
        icon=":material/hourglass_top:",
    )

    @st.fragment(run_every=0.5)
    def look() -> None:
        if not life.running:
            frame.again()

    look()
    example = _example()
    example.wait(2 * run_progress.PATIENCE_SECONDS)
    if example.playground is not None:
        _life_line(example.playground, "")


@st.fragment
def _epochs(playground: KeyPlayground, not_revoked: str) -> None:
    """Rotate, revoke, destroy, steal; below it what opens and what each party holds."""
    if frame.experiment().custody.startswith("dealer-free"):
        st.caption(
            _("In this room the KMS deals the shares, so that a rotation takes a moment; the run above had no dealer.")
        )
    _life_line(playground, not_revoked)
    st.markdown(f"**{_('Try it yourself')}**")
    _actions(playground)
    tried = _theft(playground)
    if tried:
        opened = {item.round for item in tried if item.opened}
        st.markdown(
            _("The thief opens **{n} of {of}** recorded ciphertexts: rounds {rounds}.").format(
                n=sum(item.opened for item in tried),
                of=len(tried),
                rounds=_numbers(opened),
            )
        )
    left, right = st.columns([55, 45], gap="large")
    with left:
        st.markdown(f"**{_('Who holds what')}**")
        st.html(_holdings(playground))
    with right:
        st.markdown(f"**{_('How large it is')}**")
        st.html(_sizes(playground.sizes()))
        with st.expander(_("The audit log of the KMS, signed and chained")):
            st.dataframe(
                [
                    {
                        "#": entry.sequence,
                        _("action"): entry.action,
                        _("about"): entry.subject,
                        "SHA-256": entry.digest.hex()[:16],
                    }
                    for entry in playground.audit
                ],
                hide_index=True,
                height=220,
            )


def _life_line(playground: KeyPlayground, not_revoked: str) -> None:
    """What was played, the epochs on their time line, and the answer."""
    st.markdown(
        _(
            "Played just now with real keys: two rounds, a new key, a round, a client revoked, a round; then each key stolen and "
            "tried on everything ever sent. *Decrypts only*: no new round uses this key."
        )
    )
    thefts = {line.epoch: playground.theft_opens(line.epoch) for line in playground.epochs}
    st.html(_timeline(playground.epochs, thefts))
    _answer(playground, thefts, not_revoked)


def _answer(playground: KeyPlayground, thefts: dict[int, tuple[int, ...] | None], not_revoked: str) -> None:
    """What stealing the newest key opens, and what revoking did, in a sentence each."""
    newest = playground.epochs[-1]
    said = _(
        "**Answer:** of {all} recorded rounds a theft of the newest key (epoch {epoch}) opens only: {rounds}."
    ).format(epoch=newest.epoch, rounds=_numbers(thefts[newest.epoch] or ()), all=playground.round)
    if newest.revoked:
        said += " " + _(
            "{who}: revoked, has no key from then on; what it held before still opens the old rounds."
        ).format(who=labels.several(newest.revoked))
    st.markdown(said)
    if not_revoked:
        st.caption(_("Nobody was revoked in this example: {why}").format(why=quoted(not_revoked)))


def _numbers(rounds: Iterable[int]) -> str:
    return ", ".join(str(number) for number in sorted(rounds)) or _("none")


def _actions(playground: KeyPlayground) -> None:
    retired = [line.epoch for line in playground.epochs if line.state is EpochState.DECRYPT_ONLY]
    with st.container(horizontal=True, vertical_alignment="bottom", key="key-actions"):
        _button(_("Run a round"), "lock", "play", playground.play_round)
        _button(_("Rotate the key"), "autorenew", "rotate", playground.rotate)
        if retired:
            _button(
                _("Destroy epoch {n}").format(n=retired[0]),
                "delete_forever",
                "destroy",
                lambda: playground.destroy(retired[0]),
            )
        with st.popover(_("Revoke a client"), icon=":material/person_off:"):
            for client in playground.clients:
                _button(labels.party(client), "person_off", f"revoke-{client}", lambda c=client: playground.revoke(c))
        st.space("stretch")
        if st.button(_("Start over"), icon=":material/restart_alt:", key="key:again"):
            del st.session_state["key_life"]
            st.rerun()
    refused = st.session_state.pop("keys:error", None)
    if refused is not None:
        frame.explain(refused)


def _button(label: str, icon: str, key: str, act: Callable[[], object]) -> None:
    """A button that acts on the playground; a refusal is kept for the next drawing."""
    st.button(label, icon=f":material/{icon}:", key=f"key:{key}", on_click=_do, args=(act,))


def _do(act: Callable[[], object]) -> None:
    try:
        act()
    except HeflError as error:
        st.session_state["keys:error"] = error


def _theft(playground: KeyPlayground) -> tuple[Tried, ...]:
    """Choose epoch and victims of a theft; the shares are tried at once on everything recorded."""
    lines = playground.epochs
    with st.container(horizontal=True, vertical_alignment="center", key="theft"):
        st.markdown(f":material/key_off: **{_('Steal a key')}**", width="content")
        epoch = st.segmented_control(
            _("of epoch"),
            [line.epoch for line in lines],
            format_func=lambda n: _("epoch {n}").format(n=n),
            key="theft:epoch",
        )
        line = next((item for item in lines if item.epoch == epoch), None)
        victims = st.pills(
            _("from"),
            line.clients if line else (),
            selection_mode="multi",
            format_func=labels.party,
            key=f"theft:victims:{epoch}",
        )
    if line is None or not victims:
        st.caption(_("Choose an epoch and whose share is stolen: every ciphertext ever sent is tried with it."))
        return ()
    try:
        return playground.steal(line.epoch, tuple(victims))
    except HeflError as error:
        frame.explain(error)
        return ()


_TONES = {
    EpochState.ACTIVE: html.GREEN,
    EpochState.DECRYPT_ONLY: html.ORANGE,
    EpochState.DESTROYED: "#888888",
    EpochState.PENDING: html.SKY,
}


def _timeline(lines: tuple[EpochLine, ...], thefts: dict[int, tuple[int, ...] | None]) -> str:
    """The epochs as cards on a time line, oldest first: who makes, who gets, what a theft opens, who is left out."""
    every = sorted(number for line in lines for number in line.rounds)
    cards = '<div class="then">→</div>'.join(_card(line, thefts[line.epoch], every) for line in lines)
    return f'<div class="epochs">{cards}</div>'


def _card(line: EpochLine, opens: tuple[int, ...] | None, every: list[int]) -> str:
    states = {
        EpochState.ACTIVE: _("active"),
        EpochState.DECRYPT_ONLY: _("decrypts only"),
        EpochState.DESTROYED: _("destroyed"),
        EpochState.PENDING: _("pending"),
    }
    made = _("{dealer} ({ms:.0f} ms)").format(dealer=labels.party(line.dealer), ms=1000 * line.seconds)
    gets = _("{who}: each the whole key") if line.threshold == 1 else _("{who}: each a share, {t} needed")
    used = _numbers(line.rounds)
    rows = [
        (_("makes it"), in_html(made)),
        (_("gets it"), in_html(gets.format(who=labels.several(line.clients), t=line.threshold))),
        (_("rounds"), in_html(used)),
    ]
    if line.revoked:
        rows.append((_("left out"), in_html(_("{who} (revoked)").format(who=labels.several(line.revoked)))))
    stolen = (
        _("rounds after its theft")
        if line.threshold == 1
        else _("rounds after a theft of {t} shares").format(t=line.threshold)
    )
    chips = "".join(_chip(number, number in (opens or ())) for number in every)
    rows.append((stolen, in_html(_("nothing: no share is left to steal")) if opens is None else chips))
    told = "".join(f"<b>{in_html(label)}</b><span>{value}</span>" for label, value in rows)
    return (
        f'<div class="epoch" data-epoch="{line.epoch}" style="--tone:{_TONES[line.state]}">'
        f"<h3>{in_html(_('Epoch {n}').format(n=line.epoch))} · {in_html(states[line.state])}</h3>"
        f'<div class="facts">{told}</div><code>{in_html(line.key_id)}</code></div>'
    )


def _chip(number: int, opened: bool) -> str:
    """A round under a theft: open or shut, in a sign and a word, not in colour alone."""
    colour = html.VERMILLION if opened else html.BLUE
    sign, state = ("◑ ", _("open")) if opened else ("🔒&#xFE0E; ", _("shut"))
    return (
        f'<span class="chip" data-round="{number}" data-open="{int(opened)}" title="{in_html(state)}" '
        f'style="background:color-mix(in srgb,{colour} {45 if opened else 20}%,transparent)">'
        f"{sign}{in_html(_('round {n}').format(n=number))} {in_html(state)}</span> "
    )


def _share(what: str) -> str:
    """A share as the playground names it, "share 1 of 5", in the language of the screen."""
    number, _of, all_ = what.removeprefix("share ").split(" ")
    return _("share {number} of {all}").format(number=number, all=all_)


def _holdings(playground: KeyPlayground) -> str:
    """Party × epoch: the whole key, a share, the public key, or nothing."""
    lines = playground.epochs
    words = {
        "the whole key": _("the whole key"),
        "public key": _("public key"),
        "dealt": _("made it, keeps none"),
        "destroyed": _("destroyed"),
        "": _("nothing"),
    }
    tones = {"the whole key": html.GREEN, "public key": html.BLUE}
    tones |= {"dealt": "#888888", "destroyed": "#888888", "": "#888888"}
    head = "".join(f"<th>{in_html(_('epoch {n}').format(n=line.epoch))}</th>" for line in lines)
    rows = ""
    for party, held in playground.holdings().items():
        cells = ""
        for line in lines:
            what = held[line.epoch]
            tone = tones.get(what, html.ORANGE)
            strength = 8 if what in ("", "destroyed", "dealt") else 16 if what == "public key" else 42
            text = in_html(words.get(what) or _share(what))
            cells += f'<td style="background:color-mix(in srgb,{tone} {strength}%,transparent)">{text}</td>'
        rows += f'<tr><th class="seat">{in_html(labels.party(party))}</th>{cells}</tr>'
    return f'<table class="know"><tr><th class="seat" style="width:8em">{in_html(_("Party"))}</th>{head}</tr>{rows}</table>'


def _sizes(sizes: Sizes) -> str:
    """Bytes as bars on a logarithmic scale, with the numbers."""
    rows = [
        (_("a plain update of 12 numbers"), sizes.plain, html.ORANGE),
        (_("its ciphertext"), sizes.ciphertext, html.BLUE),
        (_("public key"), sizes.public_key, html.SKY),
        (_("a sealed share"), sizes.sealed_share, html.GREEN),
    ]
    most = max(value for _label, value, _colour in rows)
    bars = "".join(
        f'<b>{in_html(label)}</b><i style="background:{colour};width:{html.log_share(value, most):.0f}%"></i>'
        f"<span>{numeral(f'{value:,} B')}</span>"
        for label, value, colour in rows
    )
    return f'<div class="sizes">{bars}</div><div class="note">{in_html(_("bars on a logarithmic scale"))}</div>'


if __name__ == "__main__":  # Streamlit runs a page under this name; other pages import from it
    page()
