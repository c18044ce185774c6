"""The pages Attack lab and What HE does not stop, without a browser: the numbers on them are measured, and switches move them."""

import re
import time

from hefl_core.attacks.catalogue import ATTACKS
from hefl_core.attacks.lab import COORDINATOR, PLAIN
from hefl_core.figures.style import FONT
from tests.gui.conftest import PATIENCE, run_on


def said(at):
    blocks = [*at.caption, *at.markdown, *at.error, *at.success, *at.info]
    return " ".join(block.value for block in blocks)


def on_tab(app, tab, page="attack"):
    """A page on one of its tabs; the others do nothing meanwhile."""
    at = run_on(app, page, clients=4, rounds=2)
    at.session_state[f"{page}:tab"] = tab
    return arrived(at)


def arrived(at):
    """After the run of this session, which a page does not wait for when the machine is slow."""
    for _ in range(2 * PATIENCE):
        at.run()
        if not any(button.key == "stop-run" for button in at.button):
            break
        time.sleep(0.5)
    assert not at.exception and not any(button.key == "stop-run" for button in at.button)
    return at


def lines(at, side):
    """What is said of each attack on one side."""
    return [block.value for block in at.markdown if block.value.startswith(f"**{side}**: ")]


def verdicts(at, side):
    """What each attack's badge says on one side."""
    return [line.rsplit(": ", 1)[1].rstrip("]") for line in lines(at, side)]


def nothing_read(at, side):
    """Ciphertexts gave no records and no members: noise reaches an AUC of 0.65 less than once in 10^12 (sd 0.02).

    Label shares of few clients are left out: tests/attacks/test_on_run.py asks about them over several rounds.
    """
    (members,) = (line for line in lines(at, side) if "AUC" in line)
    (records,) = (line for line in lines(at, side) if "records recovered" in line)
    return float(re.search(r"AUC (\d[.\d]*)", members)[1]) < 0.65 and "no better than guessing" in records


def test_your_run_is_attacked_on_its_own_messages(app):
    at = on_tab(app, "Your run")
    assert "breast_cancer, 4 clients, bfv-lean" in said(at) and "as it was sent" in said(at)
    assert nothing_read(at, "bfv-lean") and not nothing_read(at, "not encrypted")
    assert verdicts(at, "not encrypted")[0] == "reads it"
    at.selectbox(key="own-run:seat").set_value("coordinator+client-1").run()
    assert verdicts(at, "bfv-lean") == verdicts(at, "not encrypted"), "with one share, what is sent is as good as open"
    assert verdicts(at, "bfv-lean")[0] == "reads it"
    at.select_slider(key="own-run:round").set_value(2).run()
    assert not at.exception and "3 trials" in said(at)
    at.selectbox(key="own-run:seat").set_value("kms").run()
    assert "no update" in said(at) and not verdicts(at, "bfv-lean")


def test_your_run_with_very_small_clients_loses_records(app):
    at = on_tab(app, "Your run")
    at.button(key="own-run:small").click()
    arrived(at)
    assert "12 clients" in said(at) and "10 of 455 records whole" in said(at)
    members, shares, records = verdicts(at, "not encrypted")
    assert members == records == "reads it" and shares.endswith("as well in one of 1,600 runs")
    assert not nothing_read(at, "not encrypted")
    assert nothing_read(at, "bfv-lean")


def test_a_training_of_the_training_lab_is_attacked_too(app):
    at = run_on(app, "training", clients=3, rounds=1)
    at.button(key="lab:train").click().run()
    at.session_state["comparison"].wait(PATIENCE)
    at.switch_page("pages/attack.py").run()
    at.session_state["attack:tab"] = "Your run"
    arrived(at)
    at.selectbox(key="own-run:which").set_value("Training lab: plain FedAvg").run()
    assert not at.exception and "plaintext, custody individual" in said(at) and "reads it" in verdicts(at, "plaintext")


def test_five_seats_say_what_each_makes_of_the_record(app):
    at = run_on(app, "attack", dataset="digits")
    assert not at.exception and not at.error
    text = said(at)
    assert "plain FL (reads the update)" in text and "named among 100: 100 % (96 to 100 %)" in text
    assert "HE coordinator (reads bfv-lean bytes)" in text
    assert "a blind guess names one in 100, so the rate is over 100 records" in text


def test_the_lab_opens_on_the_data_of_the_address_with_its_answer(app):
    at = run_on(app, "attack", dataset="breast_cancer")
    assert next(tab.label for tab in at.tabs) == "A patient"
    (answer,) = [one.value for one in at.markdown if one.value.startswith("**Answer:**")]
    named = {who: int(hits) for who, hits in re.findall(r"(the server with\w* encryption) \*\*(\d+)\*\*", answer)}
    # of 100 blind guesses more than 20 are right once in 10^20 times
    assert named["the server without encryption"] == 100 and named["the server with encryption"] <= 20
    assert "A blind guess names 1 in 100" in answer
    assert "in the table's own units" in said(at)


def test_pictures_open_on_a_picture(app):
    at = run_on(app, "attack", dataset="digits")
    assert next(tab.label for tab in at.tabs) == "A picture"


def test_more_clients_hide_the_record_in_the_mean(app):
    at = run_on(app, "attack", dataset="digits")
    few = next(c.value for c in at.markdown if "reads the mean of 5" in c.value)
    at.select_slider(key="attack:digits:clients").set_value(32).run()
    many = next(c.value for c in at.markdown if "reads the mean of 32" in c.value)
    assert few != many and not at.exception


def test_a_record_that_is_not_there_is_said(app):
    at = on_tab(app, "A patient")
    at.number_input(key="attack:breast_cancer:record").set_value(301).run()
    assert not at.exception and not at.error


def test_both_searches_find_the_picture_in_the_plain_update_only(app):
    at = on_tab(app, "Search")
    ends = {}
    for seat in (PLAIN, COORDINATOR):
        for search in ("dlg", "cosine-tv"):
            at.radio(key="attack:film:seat").set_value(seat)
            at.radio(key="attack:film:search").set_value(search).run()
            ends[seat, search] = next(c.value for c in at.markdown if "frames of the search" in c.value)
    # Of ciphertexts both searches may end at one rounded dB; of the plain update they end far apart.
    assert ends[PLAIN, "dlg"] != ends[PLAIN, "cosine-tv"] and not at.exception
    assert all("here the record" in said for (seat, _), said in ends.items() if seat == PLAIN)
    # where a ciphertext's guess ranks is luck, in one of 100 the first; that it is the picture is not
    decibels = {key: float(re.search(r"(-?\d+) dB at the end", said)[1]) for key, said in ends.items()}
    assert all((found > 30) == (seat == PLAIN) for (seat, _), found in decibels.items()), decibels


def test_all_attacks_are_listed_with_their_remedies_when_the_page_opens(app):
    text = said(run_on(app, "limits"))
    assert all(f"{attack.title} → {attack.remedy}" in text for attack in ATTACKS)
    assert f"of {len(ATTACKS)} attacks, encryption stops 11 at the server; 2 have no remedy here" in text


def test_every_limit_is_drawn(app):
    signs = {
        "All attacks": "have no remedy here",
        "Collusion": "1 client and the coordinator open",
        "The sum itself": "Encryption changes none of these numbers",
        "Key heist": "of the updates opened",
        "Tampering desk": "caught by re-adding by the auditor",
        "Wrong use": "Pixels told ink or no ink",
        "Matrix": "Each cell holds the number",
    }
    at = run_on(app, "limits")
    for tab, sign in signs.items():
        at.session_state["limits:tab"] = tab
        at.run()
        assert sign in said(at) and not at.exception, tab


def test_lies_are_listed_with_what_catches_them_and_the_well_formed_one_is_not(app):
    at = on_tab(app, "A lying client", "limits")
    caught, missed = ([block.value for block in blocks] for blocks in (at.success, at.error))
    assert len(caught) == 8 and len(missed) == 4 and "not checked" in said(at)
    assert any("not in the roster" in text and "Coordinator" in text for text in caught)
    assert any("replay" in text and "before anything was decrypted" in text for text in caught)
    assert any("count" in text and "5 clients" in text and "after decrypting" in text for text in caught)
    assert all("refused by 0, applied in 2 rounds; accuracy" in text for text in missed)
    assert any("within the bound" in text for text in missed) and "Remedy: none here" in said(at)
    at.toggle(key="limits:clip").set_value(True).run()
    assert len(at.success) == 10 and len(at.error) == 2 and "plus rounding and noise" in said(at)
    assert any("past the clip" in block.value and "after decrypting" in block.value for block in at.success)


def test_the_remedies_move_the_numbers(app):
    at = on_tab(app, "Key heist", "limits")
    assert any("of the updates opened" in error.value for error in at.error), "float64 returned gives the key away"
    at.selectbox(key="limits:returned").set_value("float32").run()
    assert not any("of the updates opened" in error.value for error in at.error)
    at.selectbox(key="limits:returned").set_value("float64").run()
    at.toggle(key="limits:rotated").set_value(True).run()
    assert not any("of the updates opened" in error.value for error in at.error)
    at.session_state["limits:tab"] = "Collusion"
    at.run()
    assert any("1 client and the coordinator open" in c.value for c in at.caption)
    at.select_slider(key="limits:threshold").set_value(3).run()
    (read,) = [one for one in at.metric if one.label == "Words of an old update read"]
    assert read.value == "100%"
    at.toggle(key="limits:related").set_value(True).run()
    assert [one.value for one in at.metric if one.label == "Words of an old update read"] == ["0%"]
    told = "Others' uploads of two rounds opened"
    assert [one.value for one in at.metric if one.label == told] == ["50%"], "a key per round limits it, and no more"
    assert any("honest clients refuse the sum: IntegrityError" in c.value for c in at.caption)
    at.toggle(key="limits:related").set_value(False).run()
    at.selectbox(key="limits:deviation").set_value("silent").run()
    assert [one.value for one in at.metric if one.label == told] == ["100%"]
    assert any("honest clients notice nothing" in c.value for c in at.caption)
    at.selectbox(key="limits:deviation").set_value("none").run()
    assert [one.value for one in at.metric if one.label == told] == ["0%"]
    assert any("3 clients and the coordinator open" in c.value for c in at.caption)


def test_forgeries_pass_with_the_checks_off_and_are_caught_with_them_on(app):
    at = on_tab(app, "Tampering desk", "limits")
    assert sum("nobody notices" in error.value for error in at.error) == 0
    for check in ("re-adding by the auditor", "count of contributors", "tag"):
        at.toggle(key=f"limits:check:{check}").set_value(False).run()
    assert sum("nobody notices" in error.value for error in at.error) == 6


def test_a_cell_of_the_matrix_is_run_and_kept(app):
    at = on_tab(app, "Matrix", "limits")
    at.button(key=f"limits:run:label:{PLAIN}").click().run()
    at.button(key=f"limits:run:label:{COORDINATOR}").click().run()
    results = at.session_state["limits:results"]
    assert results["label", PLAIN].value == 1 and results["label", COORDINATOR].at_chance()
    assert any("badge[1]" in block.value for block in at.markdown)
    assert any("smallest corrected p-value" in block.value for block in at.success)
    assert sum(len(attack.seats) for attack in ATTACKS) > len(results)


def test_the_figures_face_is_a_list_that_browsers_take():
    names = [name.strip() for name in FONT.split(",")]
    assert names[0] == "Source Sans" and not any(part[0].isdigit() for name in names for part in name.split())


def test_words_of_a_letter_appear_in_plain_and_not_from_ciphertext(app):
    at = on_tab(app, "A letter")
    assert "**The whole letter**, every word at its place." in said(at) and not at.error
    assert said(at).count("The whole letter") == 1, "ciphertext gives no letter"
    at.select_slider(key="attack:letter:batch").set_value(8).run()
    plain, encrypted = (
        [int(number) for number in re.findall(r"\d+", block.value)]
        for block in at.markdown
        if "words** of these letters" in block.value
    )
    assert plain[0] == plain[1] > 40 and plain[2] == 0
    assert encrypted[0] <= 21 < encrypted[1] / 2 and not at.exception, "guessed: as many words as one letter can have"
    assert "encrypted: 2 % (1 to 2 %; guessing 2 %)" in said(at)
