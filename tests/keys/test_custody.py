from __future__ import annotations

import pytest

from hefl_core.errors import KeyNotActive, KeyUseError, ParameterError
from hefl_core.ids import KeyId
from hefl_core.keys.custody import Custody, ShareHolder
from hefl_core.schemes.base import SecretShare
from hefl_core.schemes.quorum import Quorum


@pytest.mark.parametrize("text", ["individual", "3-of-5", "5-of-5", "dealer-free:3-of-5", "dealer-free:5-of-5"])
def test_text_comes_back(text: str) -> None:
    assert str(Custody.parse(text, 5)) == text


def test_what_it_means() -> None:
    assert Custody.parse("individual", 4) == Custody(Quorum(1, 4), False) == Custody.parse("1-of-4", 4)
    assert Custody.parse("dealer-free:2-of-4", 4) == Custody(Quorum(2, 4), True)
    assert Custody.parse("3-of-5", 5).for_clients(4) == Custody(Quorum(3, 4))


@pytest.mark.parametrize(
    "text",
    "|all|3of5|3-of-4|6-of-5|0-of-5|-1-of-5|dealer-free:1-of-5|dealer-free:individual|3-of-5 |٣-of-5|99999-of-99999"
    "|dealer-free:|INDIVIDUAL".split("|"),
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ParameterError):
        Custody.parse(text, 5)


def test_too_few_clients_for_the_threshold() -> None:
    with pytest.raises(ParameterError):
        Custody.parse("3-of-5", 5).for_clients(2)


def share(epoch: int, fingerprint: str = "0", index: int = 1) -> SecretShare:
    return SecretShare(KeyId("plaintext", "plaintext", epoch, fingerprint * 64), Quorum(2, 3), index, b"material")


def test_a_holder_keeps_one_share_per_epoch() -> None:
    holder = ShareHolder("client-1")
    first = share(1)
    holder.take(first)
    holder.take(share(1))
    holder.take(share(2))
    assert holder.share(1) is first
    for other in (share(1, "1"), share(1, index=2)):
        with pytest.raises(KeyUseError):
            holder.take(other)
    holder.destroy(1)
    for refused in (lambda: holder.share(1), lambda: holder.take(share(1)), lambda: holder.share(3)):
        with pytest.raises(KeyNotActive):
            refused()
    assert holder.share(2).id.epoch == 2
