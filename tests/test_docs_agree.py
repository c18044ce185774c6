"""The pages of the docs agree with each other and with the code: tables, figures and defaults are compared."""

import re
from pathlib import Path

import pytest

from hefl_core.attacks.catalogue import ATTACKS
from hefl_core.checks.claims.ledger import LEDGER, NOT_PROMISED, to_markdown
from hefl_core.classroom.claims import CLASS_LEDGER
from hefl_core.federation.record import protocol_table
from hefl_core.keys import decryption_policy
from hefl_core.keys.collusion import KMS_AND_COORDINATOR
from hefl_core.schemes.flooding import FULL_FLOODING_BITS, at_ceiling
from hefl_core.schemes.presets import PRESETS, USUAL
from hefl_core.schemes.registry import block_count, load_preset
from hefl_core.terms import messages as m
from hefl_core.terms.experiment import Experiment

ROOT = Path(__file__).parents[1]
PROTOCOL, THREATS, EDGES, CLAIMS = (
    (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for name in ("protocol", "threat_model", "sharp_edges", "claims")
)


def cells(page, head):
    """The rows of the Markdown table whose first line is this."""
    lines = page[page.index(head) :].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def rules_in_code():
    """Rule to attack, from the table in keys/decryption_policy.py."""
    text = decryption_policy.__doc__ or ""
    lines = text[text.index("own commitment") :].split("\n====")[0].splitlines()
    found = {}
    for line in lines:
        name, said = line[:22].strip(), line[22:].strip()
        last = name or list(found)[-1]
        found[last] = f"{found[last]} {said}" if last in found else said
    return found


def test_claims_are_generated():
    assert to_markdown(CLASS_LEDGER) == CLAIMS
    for sentence in (*(claim.sentence for claim in LEDGER), *NOT_PROMISED):
        assert sentence in CLAIMS


def test_every_source_inside_the_project_is_there():
    for claim in (*LEDGER, *CLASS_LEDGER):
        for path in re.findall(r"\b(?:docs|hefl_core|tests)/[\w/]+\.(?:md|py)", claim.source):
            assert (ROOT / path).exists(), (claim.id, path)


def test_the_protocols_table_is_the_verifiers():
    assert protocol_table.to_markdown() in PROTOCOL


def test_a_changed_row_would_be_seen():
    assert protocol_table.to_markdown().replace("| auditor |", "| coordinator |", 1) not in PROTOCOL


def test_what_two_parties_can_do_together_is_one_list():
    assert all(f"- {sentence}\n" in THREATS for sentence in KMS_AND_COORDINATOR)
    assert "see the list below" in next(
        row[2] for row in cells(THREATS, "| who attacks") if row[0] == "KMS + coordinator"
    )


def test_the_holders_rules_are_one_table():
    rows = cells(EDGES, "| rule | attack |")
    assert dict(rows) == rules_in_code()
    assert tuple(rule for rule, _ in rows) == decryption_policy.RULES


@pytest.mark.parametrize(
    ("custody", "expected"), [("individual", 7), ("3-of-5", 1), ("dealer-free:3-of-5", 7)], ids=["one", "dealt", "none"]
)
def test_the_default_life_of_a_key_is_what_every_page_says(custody, expected):
    scheme = "bfv-lean" if custody == "individual" else "bfv-threshold"
    assert Experiment(custody=custody, scheme=scheme, clients=5, rounds=7).rounds_per_epoch == expected
    rows = [
        row for row in cells(THREATS, "| | individual") if row[0].startswith("coordinator + one client that deviates")
    ]
    assert [row[0].rsplit(", ", 1)[1] for row in rows] == ["BFV or CKKS", "Paillier"]
    assert "a key epoch per round (the default)" in rows[0][2] and "the default is one epoch" in rows[0][3]
    assert "**a key epoch per round**" in PROTOCOL and "a dealt key serves one round" in EDGES
    assert "key epoch per round" in " ".join(NOT_PROMISED)


def test_no_page_promises_anything_against_a_client_that_deviates():
    """What `attack delta` shows: under BFV and CKKS collective custody is for clients that follow the protocol."""
    row = next(row for row in cells(THREATS, "| who attacks") if row[0].startswith("one client that deviates"))
    assert row[1].startswith("nothing; a key epoch per round limits it") and "the epoch's key" in row[2]
    rows = {row[0]: row for row in cells(THREATS, "| | individual")}
    assert "every update of each epoch" in rows["coordinator + one client that deviates, BFV or CKKS"][2]
    claim = next(claim for claim in LEDGER if claim.id == "fewer-than-t")
    assert "as long as every client follows the protocol" in claim.sentence and claim.kind == "argued"
    assert any("BFV and CKKS assumes that every client follows the protocol" in said for said in NOT_PROMISED)
    for page in (THREATS, PROTOCOL, EDGES):
        assert "`attack delta`" in page and "deviates" in page
    remedy = next(attack.remedy for attack in ATTACKS if attack.name == "delta")
    assert remedy.startswith("none here")


def test_the_flooding_that_is_stated_is_the_one_that_is_computed():
    stated = dict(re.findall(r"`((?:bfv-threshold|ckks-threshold|-)[\w-]*)` 2\^-(\d+)", EDGES))
    assert len(stated) == 5
    for short, exponent in stated.items():
        name = f"bfv-threshold{short}" if short.startswith("-") else short
        found = at_ceiling(load_preset(name), USUAL)
        assert found is not None and found.exponent == int(exponent), name
        assert found.demonstration == (int(exponent) < FULL_FLOODING_BITS)
    assert {f"bfv-threshold{s}" if s.startswith("-") else s for s in stated} == {
        preset.name
        for preset in PRESETS.values()
        if preset.collective and not preset.insecure and preset.family not in ("paillier", "onetime")
    }
    for name in ("onetime", "onetime-2048"):  # their keys are bfv-threshold's, and so is the flooding
        found, same = (at_ceiling(load_preset(one), USUAL) for one in (name, load_preset(name).together))
        assert found is not None and same is not None and found.exponent == same.exponent


def test_the_ciphertexts_of_a_sum_are_counted_right():
    said = re.search(
        r"10⁵ parameters are (\d+) of them under `bfv-threshold`, (\d+) under `-small`, (\d+) under\s+"
        r"`-classroom`, (\d+) under `ckks-threshold`",
        EDGES,
    )
    assert said is not None
    names = ("bfv-threshold", "bfv-threshold-small", "bfv-threshold-classroom", "ckks-threshold")
    assert [int(number) for number in said.groups()] == [block_count(load_preset(name), 100_000) for name in names]


def test_every_step_of_a_round_is_told_in_words():
    told = PROTOCOL[PROTOCOL.index("## Steps") : PROTOCOL.index("## Custody")].lower()
    words = {
        m.COMMITMENT: "commit",
        m.COMMITMENTS: "list of commitments",
        m.ACKNOWLEDGEMENT: "auditor",
        m.UPDATE: "upload",
    }
    for row in protocol_table.TABLE:
        if row.when is protocol_table.When.ROUND:
            assert words.get(row.kind, row.kind) in told, row.kind
