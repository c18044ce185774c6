from __future__ import annotations

from dataclasses import replace

import pytest

from hefl_core.errors import IntegrityError
from hefl_core.keys.audit import AuditEntry, AuditLog
from hefl_core.keys.identity import Identity
from hefl_core.wire.canonical import decode, encode

KMS = Identity("kms", "kms")


def log(length: int = 4) -> AuditLog:
    made = AuditLog()
    for number in range(length):
        made.append(KMS, 1_700_000_000 + number, "enrol", f"client-{number}", (("role", "client"),))
    return made


def test_an_honest_log_verifies() -> None:
    made = log()
    made.verify(KMS.member.signing)
    again = AuditLog([decode(encode(entry), AuditEntry) for entry in made.entries])
    again.verify(KMS.member.signing)
    assert (again.head, len(again)) == (made.head, 4)
    assert str(made.entries[0]) == "0 enrol client-0 role=client"
    AuditLog().verify(KMS.member.signing)


def test_every_rewriting_is_noticed() -> None:
    entries = log().entries
    other = Identity("kms", "kms")
    forged = replace(entries[1], subject="client-9", signature=b"")
    rewritten = [
        (entries[0], replace(entries[1], subject="client-9"), *entries[2:]),
        (entries[0], replace(entries[1], time=0), *entries[2:]),
        (entries[0], replace(forged, signature=other.sign(forged.signed)), *entries[2:]),
        (entries[0], replace(forged, signature=KMS.sign(forged.signed)), *entries[2:]),
        (entries[0], replace(entries[1], signature=b""), *entries[2:]),
        entries[1:],
        (*entries[:1], *entries[2:]),
        (entries[1], entries[0], *entries[2:]),
        (*entries, entries[-1]),
    ]
    for wrong in rewritten:
        with pytest.raises(IntegrityError):
            AuditLog(wrong).verify(KMS.member.signing)
    with pytest.raises(IntegrityError):
        log().verify(other.member.signing)


def test_a_kept_head_notices_a_cut_or_a_fork() -> None:
    made = log(2)
    head = made.head
    longer = AuditLog(made.entries)
    longer.append(KMS, 0, "rotate", "epoch-2")
    longer.check_extends(2, head)
    longer.check_extends(0, b"")
    with pytest.raises(IntegrityError):
        AuditLog(made.entries[:1]).check_extends(2, head)
    fork = AuditLog(made.entries[:1])
    fork.append(KMS, 0, "revoke", "client-1")
    with pytest.raises(IntegrityError):
        fork.check_extends(2, head)
