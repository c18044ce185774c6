"""Provisioning: who makes which key, what the organiser sees, and what it refuses."""

import msgspec
import numpy as np
import pytest

from hefl_core.errors import DataError, KeyUseError, ParameterError
from hefl_core.keys.roster import Member
from hefl_core.runtime import stage
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.services import provision
from hefl_core.runtime.services.kit import MEMBERS, Kit
from hefl_core.runtime.services.own_data import home_from_files, read_own_data, refuse_own_data
from hefl_core.runtime.services.provision import Request
from hefl_core.terms.experiment import Experiment, Schema
from tests.conftest import SMALL

OWN = Experiment(model="logistic", clients=3, rounds=1)
HEART = Schema(("age", "pressure"), ("healthy", "ill"), (50.0, 120.0), (20.0, 30.0))


@pytest.fixture
def asked(tmp_path):
    """Every party's own home, with its request."""
    for name in provision.party_names(3):
        provision.make_request(tmp_path / "homes" / name, name)
    return tmp_path


def requests(asked):
    return provision.read_requests(asked / "homes", 3)


def test_no_private_key_leaves_a_home(asked):
    """The whole of what the organiser gets and gives is searched. Control: a home's own key is found by the same search."""
    secrets = []
    for name in provision.party_names(3):
        with stage.open_store(asked / "homes" / name, name) as store:
            secrets += [store.get("tls", "key"), store.get("identities", name)[-32:]]
    provision.issue(asked / "organiser", provision.terms(SMALL), requests(asked))
    public = [path.read_bytes() for path in (asked / "homes").rglob("request.json")]
    public += [path.read_bytes() for path in (asked / "organiser").rglob("*") if path.is_file()]
    assert len(public) >= 6 + 24

    def found(secret, places):
        forms = (secret, secret[40:90], secret.hex().encode(), msgspec.json.encode(secret)[1:-2])
        return any(form in place for form in forms if form for place in places)

    assert not any(found(secret, public) for secret in secrets)
    assert found(secrets[0], [secrets[0]])


def test_a_kit_fits_its_party_and_nobody_else(asked):
    kits = provision.issue(asked / "organiser", provision.terms(SMALL), requests(asked))
    home = asked / "homes" / "client-1"
    with stage.open_store(home, "client-1") as store:
        kits["client-1"].check("client-1", store)
        with pytest.raises(DataError, match="own TLS key"):
            kits["client-2"].check("client-1", store)
    assert len({kit.fingerprint for kit in kits.values()}) == 1


def test_keys_that_the_organiser_puts_under_a_name_are_noticed(asked):
    kits = provision.issue(asked / "organiser", provision.terms(SMALL), requests(asked))
    kits["client-1"].save(asked / "homes" / "client-1")
    path = asked / "homes" / "client-1" / "kit" / MEMBERS
    members = msgspec.json.decode(path.read_bytes(), type=list[Member])
    changed = [Member(m.name, m.role, b"\1" * 32, m.sealing) if m.name == "client-1" else m for m in members]
    path.write_bytes(msgspec.json.encode(changed))
    kit = Kit.load(asked / "homes" / "client-1")
    assert kit.fingerprint != kits["client-1"].fingerprint
    with stage.open_store(asked / "homes" / "client-1", "client-1") as store:
        with pytest.raises(DataError, match="somebody substituted them"):
            kit.check("client-1", store)


def test_requests_without_proof_or_of_the_wrong_number_are_refused(asked):
    path = asked / "homes" / "client-2" / "request.json"
    request = msgspec.json.decode(path.read_bytes(), type=Request)
    other = msgspec.json.decode((asked / "homes" / "client-1" / "request.json").read_bytes(), type=Request)
    path.write_bytes(msgspec.json.encode(Request(request.member, other.csr, request.signature)))
    with pytest.raises(DataError, match="its own signing key"):
        requests(asked)
    path.unlink()
    with pytest.raises(DataError, match="expected one .*client-2"):
        requests(asked)


def test_an_organiser_issues_once_and_renews_with_the_same_keys_only(asked):
    manifest = provision.terms(SMALL)
    provision.issue(asked / "organiser", manifest, requests(asked))
    with pytest.raises(KeyUseError, match="renew it"):
        provision.issue(asked / "organiser", manifest, requests(asked))
    provision.renew_request(asked / "homes" / "client-1", "client-1")
    kits = provision.renew(asked / "organiser", asked / "homes")
    assert kits["client-1"].manifest == manifest
    with stage.open_store(asked / "homes" / "client-1", "client-1") as store:
        kits["client-1"].check("client-1", store)
    (asked / "homes" / "client-1" / "client-1.db").unlink()
    (asked / "homes" / "client-1" / "client-1.key").unlink()
    for left in (asked / "homes" / "client-1").glob("client-1.db*"):
        left.unlink()
    (asked / "homes" / "client-1" / "request.json").unlink()
    provision.make_request(asked / "homes" / "client-1", "client-1")
    with pytest.raises(DataError, match="ask why"):
        provision.renew(asked / "organiser", asked / "homes")


def test_on_one_machine_only_clients_hold_data_and_each_its_own(tmp_path):
    manifest = provision.provision_all(tmp_path / "all", SMALL, metrics=False)
    assert not manifest.experiment.observed
    folders = {path.parent.parent.name for path in (tmp_path / "all").rglob("*.npz")}
    assert folders == {"client-1", "client-2", "client-3"}
    parts = [read_own_data(manifest.schema, tmp_path / "all" / name / "data") for name in sorted(folders)]
    assert sum(len(part.train) for part in parts) == 1437
    with pytest.raises(ParameterError, match="empty or new folder"):
        provision.provision_all(tmp_path / "all", SMALL)


def table(path, rows, header="pressure,age,class"):
    path.parent.mkdir(exist_ok=True)
    path.write_text(header + "\n" + "\n".join(rows) + "\n")


def test_a_client_trains_on_its_own_table(tmp_path):
    manifest = provision.terms(OWN, HEART, 64)
    table(tmp_path / "data" / "train.csv", [f"{120 + i},{50 + i},{'ill' if i % 2 else 'healthy'}" for i in range(40)])
    own = read_own_data(manifest.schema, tmp_path / "data")
    assert (len(own.train), len(own.held_out)) == (32, 8)
    assert own.train.features[:, 0].max() <= 2.0  # (age - 50) / 20, in the schema's order of columns
    home = home_from_files(manifest, 1, tmp_path / "data")
    assert home.examples == 32 and manifest.parameters == 2 * 2 + 2


@pytest.mark.parametrize(
    ("header", "cell", "says"),
    [
        ("pressure,weight,class", "ill", "missing: age; not agreed: weight"),
        ("pressure,age,class", "dead", "expected labels among healthy, ill"),
    ],
)
def test_a_table_that_is_not_as_agreed_is_refused(tmp_path, header, cell, says):
    rows = [f"{120 + i},{50 + i},{cell if i % 2 else 'healthy'}" for i in range(40)]
    table(tmp_path / "data" / "train.csv", rows, header)
    with pytest.raises(DataError, match=says):
        read_own_data(HEART, tmp_path / "data")


FORMS = {
    "semicolons, decimal commas, CP1252": ("pressure;age;größe", ";", ",", "cp1252"),
    "tabs and UTF-16": ("pressure\tage\tclass", "\t", ".", "utf-16"),
    "label first, with a name that is never guessed": ("died,pressure,age", ",", ".", "utf-8"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_client_may_write_its_table_in_its_own_way(tmp_path, form):
    """The same examples as of the plain table, in the schema's order and scale."""
    header, separator, mark, encoding = FORMS[form]
    cells = [(f"{120 + i}.5", f"{50 + i}.25", "ill" if i % 2 else "healthy") for i in range(40)]
    table(tmp_path / "plain" / "train.csv", [",".join(row) for row in cells])
    own = [(row[2], *row[:2]) if header.startswith("died") else row for row in cells]
    lines = [separator.join(cell.replace(".", mark) for cell in row) for row in own]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_bytes("\n".join([header, *lines]).encode(encoding))
    plain, found = (read_own_data(HEART, tmp_path / folder) for folder in ("plain", "data"))
    assert np.array_equal(found.train.features, plain.train.features) and len(found.train) == 32
    assert np.array_equal(found.train.labels, plain.train.labels)


YES_NO = Schema(("age", "pressure"), ("yes", "no"), (50.0, 120.0), (20.0, 30.0))


def test_classes_keep_the_terms_order_in_any_spelling(tmp_path):
    """Second fault: a schema whose first class is the yes; sorted by the reader, every label would be turned round."""
    rows = [f"{120 + i},{50 + i},{'Ja' if i % 3 else 'Nein'}" for i in range(40)]
    table(tmp_path / "data" / "train.csv", rows)
    table(tmp_path / "data" / "holdout.csv", rows[:9])
    held_out = read_own_data(YES_NO, tmp_path / "data").held_out
    assert held_out.labels.tolist() == [0 if i % 3 else 1 for i in range(9)]
    numbers = Schema(("age", "pressure"), ("2", "1"), (50.0, 120.0), (20.0, 30.0))
    table(tmp_path / "data" / "holdout.csv", [row.replace("Ja", "1.0").replace("Nein", "2.0") for row in rows[:9]])
    table(tmp_path / "data" / "train.csv", [row.replace("Ja", "1").replace("Nein", "2") for row in rows])
    assert read_own_data(numbers, tmp_path / "data").held_out.labels.tolist() == [1 if i % 3 else 0 for i in range(9)]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (",57,ill", "train.csv, line 9, column 'pressure': expected a number, found none"),
        ("127,NA,ill", "line 9, column 'age': expected a number, found none; nothing is agreed to fill gaps with"),
        ("127,57,", r"an outcome in every row, found 1 missing .* in line 9"),
        ("127,57 mg,ill", "line 9, column 'age'"),
        ("127,yes,ill", "line 9, column 'age'"),
        ("127,57,ill,3", "line 9: expected 3 cells as in the header"),
    ],
)
def test_a_cell_that_the_terms_do_not_provide_for_is_refused_by_line(tmp_path, line, says):
    rows = [f"{120 + i},{50 + i},{'ill' if i % 2 else 'healthy'}" for i in range(40)]
    rows[7] = line
    table(tmp_path / "data" / "train.csv", rows)
    with pytest.raises(DataError, match=says):
        read_own_data(HEART, tmp_path / "data")


def test_a_clients_measured_label_is_cut_as_its_owner_declares(tmp_path):
    cut = Schema(("age", "pressure"), ("60.5 or less", "above 60.5"), (50.0, 120.0), (20.0, 30.0))
    table(tmp_path / "data" / "train.csv", [f"{120 + i},{50 + i},{40 + i}" for i in range(60)])
    with pytest.raises(DataError, match="label_above in a service's declared.json"):
        read_own_data(cut, tmp_path / "data")
    (tmp_path / "data" / "declared.json").write_text('{"declared": {"label_above": 60.5}}')
    own = read_own_data(cut, tmp_path / "data")
    labels = np.concatenate([own.train.labels, own.held_out.labels])
    assert np.bincount(labels).tolist() == [21, 39]
    (tmp_path / "data" / "declared.json").write_text('{"declared": {"label_above": 61}}')
    with pytest.raises(DataError, match="expected labels among 60.5 or less, above 60.5, found '61 or less'"):
        read_own_data(cut, tmp_path / "data")


def test_one_class_only_is_a_client_like_another_and_one_row_is_none(tmp_path):
    table(tmp_path / "data" / "train.csv", [f"{120 + i},{50 + i},ill" for i in range(6)])
    assert set(read_own_data(HEART, tmp_path / "data").train.labels.tolist()) == {1}
    table(tmp_path / "data" / "train.csv", ["120,50,ill"])
    with pytest.raises(DataError, match="expected 2 rows or more"):
        read_own_data(HEART, tmp_path / "data")


def test_more_rows_than_agreed_or_no_file_is_refused(tmp_path):
    manifest = provision.terms(OWN, HEART, 16)
    with pytest.raises(DataError, match="found neither"):
        home_from_files(manifest, 1, tmp_path / "data")
    table(tmp_path / "data" / "train.csv", [f"{120 + i},{50 + i},{'ill' if i % 2 else 'healthy'}" for i in range(40)])
    with pytest.raises(DataError, match="at most 16 training rows"):
        home_from_files(manifest, 1, tmp_path / "data")
    with pytest.raises(ParameterError, match="examples_max"):
        provision.terms(OWN, HEART)


def test_where_data_is_dealt_a_table_of_ones_own_is_not_passed_over_in_silence(tmp_path):
    refuse_own_data(tmp_path)
    table(tmp_path / "data" / "train.csv", ["1,2,ill"])
    with pytest.raises(DataError, match=r"train\.csv would not be read; use the TLS transport"):
        refuse_own_data(tmp_path)
    with pytest.raises(DataError, match="tables that clients keep"):
        run_experiment(OWN.but(dataset="own:heart"), "ray")
