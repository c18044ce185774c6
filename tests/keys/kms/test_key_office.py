from __future__ import annotations

from pathlib import Path

import pytest

from hefl_core.errors import KeyUseError, ParameterError, RoundError
from hefl_core.keys.kms.key_office import KeyService
from hefl_core.keys.vault.store import KeyStore
from hefl_core.keys.vault.unlock import KeyFile
from hefl_core.schemes.base import expose_secret

from ..toy import Toy
from ..world import EXPERIMENT, PRESET


def ceremony(store: KeyStore, custody: str = "individual") -> KeyService:
    return KeyService.ceremony(store, EXPERIMENT, PRESET, custody, clients=3, last_round=10)


def test_the_life_of_a_key_on_one_machine(tmp_path: Path, key_file: KeyFile) -> None:
    path = tmp_path / "keys.db"
    with KeyStore(path, key_file) as store:
        ceremony(store)
        with pytest.raises(KeyUseError):
            ceremony(store)
    with KeyStore(path, key_file) as store:
        service = KeyService(store)
        (line,) = service.lines()
        assert (line.epoch, line.state, line.custody, line.dealer) == (1, "active", "individual", "kms")
        assert line.key_id.startswith(f"{PRESET}/epoch-1/") and line.clients == ("client-1", "client-2", "client-3")
        service.revoke("client-2")
        service.join("client-4")
        with pytest.raises(KeyUseError):
            service.join("client-4")
        line = service.rotate(4, destroy_old=True)
        assert (line.epoch, line.first_round, line.last_round) == (2, 4, 10)
        assert line.clients == ("client-1", "client-3", "client-4")
    with KeyStore(path, key_file) as store:
        service = KeyService(store)
        assert [line.state for line in service.lines()] == ["destroyed", "active"]
        assert [e.action for e in service.audit().entries][-4:] == ["prepare", "retire", "activate", "destroy"]
        service.pin().check(service.enrolment("coordinator").roster)
        assert service.enrolment("client-4").share.index == 3
        for stranger in ("client-9", ""):
            with pytest.raises(RoundError):
                service.enrolment(stranger)


def test_a_refused_ceremony_leaves_nothing(store: KeyStore) -> None:
    with pytest.raises(ParameterError):
        ceremony(store, "4-of-5")
    with pytest.raises(ParameterError):  # nothing to hold together in a plaintext
        ceremony(store, "dealer-free:2-of-3")
    with pytest.raises(KeyUseError):
        KeyService(store)
    ceremony(store)


def test_a_dealer_free_key_on_one_machine(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Toy()
    for home in ("service", "key_office"):
        monkeypatch.setattr(f"hefl_core.keys.kms.{home}.open_scheme", lambda name: toy)
    service = ceremony(store, "dealer-free:2-of-3")
    (line,) = service.lines()
    assert (line.custody, line.dealer, line.state) == ("dealer-free:2-of-3", "dealer-free", "active")
    shares = [expose_secret(service.enrolment(name).share) for name in line.clients]
    assert len(set(shares)) == 3
    service.join("client-4")
    line = service.rotate(5)
    assert (line.custody, len(line.clients)) == ("dealer-free:2-of-4", 4)
    assert service.enrolment("client-4").share.index == 4
    assert service.enrolment("client-1").share.id.epoch == 2
    assert service.enrolment("coordinator").record.dealer == "dealer-free"


@pytest.mark.parametrize("custody", ["individual", "dealer-free:2-of-3"])
def test_a_rotation_that_changes_nothing_says_so(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch, custody: str
) -> None:
    """An owner who believes the key stolen, or lets a client in, must not take an old key for a new one."""
    if custody.startswith("dealer-free"):
        for home in ("service", "key_office"):
            monkeypatch.setattr(f"hefl_core.keys.kms.{home}.open_scheme", lambda name: Toy())
    service = ceremony(store, custody)
    service.join("client-4")
    with pytest.raises(RoundError, match="is made|nothing was changed"):
        service.rotate(1, destroy_old=True)
    assert [line.epoch for line in service.lines()] == [1]
    assert service.rotate(2).clients[-1] == "client-4"
