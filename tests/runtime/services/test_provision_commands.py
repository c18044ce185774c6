"""`provision` as it is typed: in a directory for each role, in the wrong order, with what does not belong."""

import shutil
import subprocess
import sys

import msgspec
import pytest

from hefl_core.cli.main import main
from hefl_core.runtime.services.provision import Request, party_names

NAMES = party_names(3)
TERMS = "clients=3&rounds=1"


class Place:
    """A folder in which commands are typed."""

    def __init__(self, folder, monkeypatch, capsys):
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys
        monkeypatch.chdir(folder)
        monkeypatch.delenv("HEFL_PASSPHRASE", raising=False)

    def type(self, *words):
        """(exit code, what it said)."""
        self._monkeypatch.setattr(sys, "argv", ["hefl_core", "provision", *words])
        self._capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as left:
            code = left.code or 0
        said = self._capsys.readouterr()
        return code, said.out + said.err

    def refused(self, *words):
        """One line on what was wrong, with exit code 2; nothing on disk is another than before."""
        before = self.files()
        code, said = self.type(*words)
        assert (code, said.count("\n")) == (2, 1), said
        assert self.files() == before
        return said

    def files(self):
        return {path: path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file()}

    def ask(self, *names):
        for name in names:
            code, said = self.type("request", "--party", name, "--home", f"at-{name}")
            assert code == 0 and "The keys stay" in said
            (self.folder / "inbox").mkdir(exist_ok=True)
            shutil.copy(f"at-{name}/request.json", f"inbox/{name}.request.json")

    def issue(self):
        return self.type("issue", "--requests", "inbox", "--out", "organiser", "--experiment", TERMS)

    def deliver(self, *names):
        for name in names:
            shutil.copytree(f"organiser/kits/{name}/kit", f"at-{name}/kit", dirs_exist_ok=True)


@pytest.fixture
def place(tmp_path, monkeypatch, capsys):
    return Place(tmp_path, monkeypatch, capsys)


def test_from_requests_to_kits_that_fit_and_once_more_a_year_later(place):
    place.ask(*NAMES)
    code, said = place.issue()
    assert code == 0 and "6 kits" in said
    fingerprint = said.split("fingerprint ")[1].split(":")[0]
    place.deliver(*NAMES)
    for name in NAMES:
        code, said = place.type("check", "--party", name, "--home", f"at-{name}")
        assert code == 0 and fingerprint in said
    certificates = {name: (place.folder / f"at-{name}" / "kit" / "certificate.pem").read_bytes() for name in NAMES}
    for name in NAMES:
        code, _ = place.type("request", "--party", name, "--home", f"at-{name}", "--again")
        assert code == 0
        shutil.copy(f"at-{name}/request.json", f"inbox/{name}.request.json")
    assert "own TLS key" in place.refused("check", "--party", "kms", "--home", "at-kms")  # the old one fits no more
    code, said = place.type("renew", "--requests", "inbox", "--out", "organiser")
    assert code == 0 and fingerprint in said
    place.deliver(*NAMES)
    for name in NAMES:
        assert place.type("check", "--party", name, "--home", f"at-{name}")[0] == 0
        assert (place.folder / f"at-{name}" / "kit" / "certificate.pem").read_bytes() != certificates[name]


def test_the_wrong_order_is_said_and_leaves_nothing_behind(place):
    assert "make the first request" in place.refused("request", "--party", "kms", "--home", "at-kms", "--again")
    assert "issue first" in place.refused("renew", "--requests", "inbox", "--out", "organiser")
    assert "found none" in place.refused("issue", "--requests", "inbox", "--out", "organiser", "--experiment", TERMS)
    place.ask("kms", "auditor")
    said = place.refused("issue", "--requests", "inbox", "--out", "organiser", "--experiment", TERMS)
    assert "client-3" in said and "found auditor, kms" in said
    assert "put the organiser's kit there" in place.refused("check", "--party", "kms", "--home", "at-kms")


def test_what_is_there_is_not_overwritten(place):
    place.ask(*NAMES)
    assert "--again" in place.refused("request", "--party", "kms", "--home", "at-kms")
    for left in place.folder.glob("at-kms/kms.*"):
        left.unlink()
    assert "request.json" in place.refused("request", "--party", "kms", "--home", "at-kms")
    assert place.issue()[0] == 0
    assert "renew it" in place.refused("issue", "--requests", "inbox", "--out", "organiser", "--experiment", TERMS)
    for left in place.folder.glob("organiser/organiser.*"):
        left.unlink()
    assert "kits" in place.refused("issue", "--requests", "inbox", "--out", "organiser", "--experiment", TERMS)
    assert "empty or new folder" in place.refused("all", "organiser", "--clients", "3")
    assert "expected a folder" in place.refused("request", "--party", "kms", "--home", "inbox/kms.request.json")


def test_a_foreign_request_is_refused(place):
    place.ask(*NAMES)
    path = place.folder / "inbox" / "client-2.request.json"
    mine = msgspec.json.decode(path.read_bytes(), type=Request)
    issue = ("issue", "--requests", "inbox", "--out", "organiser", "--experiment", TERMS)
    place.ask("client-4")
    assert "client-4" in place.refused(*issue)  # nobody asked for it
    foreign = msgspec.json.decode((place.folder / "inbox" / "client-4.request.json").read_bytes(), type=Request)
    (place.folder / "inbox" / "client-4.request.json").unlink()
    path.write_bytes(msgspec.json.encode(Request(mine.member, foreign.csr, mine.signature)))
    assert "its own signing key" in place.refused(*issue)
    path.write_bytes(b"not JSON")
    assert "client-2.request.json: expected JSON" in place.refused(*issue)
    path.write_bytes(msgspec.json.encode(mine))
    assert place.issue()[0] == 0  # control
    place.deliver(*NAMES)
    shutil.copytree("organiser/kits/client-1/kit", "at-client-2/kit", dirs_exist_ok=True)
    assert "own TLS key" in place.refused("check", "--party", "client-2", "--home", "at-client-2")


@pytest.mark.parametrize("party", ["doctor", "client-0", "client-", "../kms", "organiser"])
def test_only_names_of_the_protocol_are_parties(place, party):
    assert "expected coordinator, auditor, kms or client-1" in place.refused(
        "request", "--party", party, "--home", "there"
    )


def test_all_of_it_as_a_process_of_its_own(tmp_path):
    """The same command as a shell runs it; a second time it finds the folder taken."""
    command = [sys.executable, "-m", "hefl_core", "provision", "all", str(tmp_path / "all"), "--clients", "3"]
    done = [subprocess.run(command, capture_output=True, text=True, timeout=200) for _ in range(2)]
    assert done[0].returncode == 0 and "serve ROLE --config" in done[0].stdout
    assert {path.name for path in (tmp_path / "all").iterdir()} == {*NAMES, "organiser"}
    assert done[1].returncode == 2 and "has something in it" in done[1].stderr and done[1].stderr.count("\n") == 1
