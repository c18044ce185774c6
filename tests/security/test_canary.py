"""Secrets of a run stay out of logs, reprs, errors, addresses, records, reports and other people's sessions.

The secrets are known here, and every search has a control that finds a planted one.
"""

import logging
from dataclasses import dataclass, replace

import pytest

from hefl_core.app.report import to_html
from hefl_core.errors import HeflError
from hefl_core.keys.sealing import open_sealed, pack_share, seal, share_info
from hefl_core.runtime.run import Run
from hefl_core.schemes.base import CiphertextVector, SecretShare
from hefl_core.terms import messages as m
from hefl_core.terms.experiment import Experiment
from hefl_core.wire.canonical import decode
from tests.security.canary import hits, needles, reachable, secrets_of, shown, traced

TOGETHER = Experiment(
    dataset="breast_cancer",
    model="logistic",
    scheme="INSECURE_bfv-threshold-1024",
    custody="2-of-3",
    clients=3,
    rounds=2,
    epoch_rounds=2,
)


class Listener(logging.Handler):
    """Everything that anybody logs, at every level."""

    def __init__(self):
        super().__init__(logging.NOTSET)
        self.text = ""

    def emit(self, record):
        self.text += f"{record.getMessage()} {record.args!r}\n"


@pytest.fixture(scope="module", params=["together", "alone"])
def told(request):
    """(run, what was logged, needles)."""
    together = request.param == "together"
    listener, root = Listener(), logging.getLogger()
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    run = Run(TOGETHER if together else TOGETHER.but(scheme="bfv-lean", custody="individual"), keep_keys=True)
    try:
        for _ in run.steps():
            pass
        result = run.result()
    finally:
        root.removeHandler(listener)
        root.setLevel(level)
    return run, result, listener.text, needles(secrets_of(run))


def test_the_search_finds_what_is_planted(told):
    run, _, _, wanted = told
    assert len(wanted) > 90
    listener = Listener()
    logger = logging.getLogger("hefl_core.planted")
    logger.addHandler(listener)
    share = run.parties.clients[0].enrolment.share
    logger.warning("my share is %r", share._SecretShare__material)
    logger.removeHandler(listener)
    assert "share of client-1, repr" in hits(listener.text, wanted)

    @dataclass
    class Careless:
        material: bytes

    careless = Careless(share._SecretShare__material)
    assert any(hits(shown(thing), wanted) for thing in reachable({"a": [careless]}))

    def fail(material):
        raise HeflError("no secret in the message")

    with pytest.raises(HeflError) as error:
        fail(share._SecretShare__material)
    assert hits(traced(error.value, package="tests/"), wanted) and not hits(str(error.value), wanted)


def test_nothing_is_logged(told):
    _, _, logged, wanted = told
    assert hits(logged, wanted) == []


def test_no_repr_shows_a_secret(told):
    run, result, _, wanted = told
    things = [thing for thing in reachable(run, result) if type(thing).__module__.startswith("hefl_core")]
    kinds = {type(thing).__name__ for thing in things}
    assert {"Client", "SecretShare", "TagKey", "Identity", "KeyStore", "Observation", "Transcript"} <= kinds
    found = {(type(thing).__name__, hit) for thing in things for hit in hits(shown(thing), wanted)}
    assert found == set()


def test_records_and_reports_carry_none(told):
    _, result, _, wanted = told
    transcript = result.transcript
    assert hits(transcript.to_bytes(), wanted) == []
    assert [hit for blob in transcript.blobs.values() for hit in hits(blob, wanted)] == []
    assert hits(result.to_json(), wanted) == []
    assert hits(to_html(result), wanted) == []
    assert hits(result.experiment.to_query() + result.experiment.to_json(), wanted) == []


def _errors(run):
    """Failures as they happen at a client, with its secrets in the frames."""
    client, *_ = run.parties.clients
    enrolment, scheme = client.enrolment, client.scheme
    share, key = enrolment.share, enrolment.public_key
    total = decode(run.transcript.body(_last(run, m.SUM)), m.EncryptedSum).total
    block = bytes([total.blocks[0][200] ^ 255])
    damaged = replace(total, blocks=(total.blocks[0][:200] + block + total.blocks[0][201:], *total.blocks[1:]))
    threshold = share.quorum.threshold
    active = set(range(1, threshold + 1))
    info = share_info("e", share.id, share.quorum, share.index, "kms")
    sealed = seal(pack_share(share, enrolment.tag_key), enrolment.roster.member(client.name), info)
    yield lambda: scheme.partial_decrypt(share, replace(total, blocks=(b"", *total.blocks[1:])), active)
    yield lambda: scheme.partial_decrypt(share, total, set())
    yield lambda: scheme.open(key, damaged, [scheme.partial_decrypt(share, total, active)])
    yield lambda: open_sealed(enrolment.reader(share.id.epoch), sealed[:-1], info)
    yield lambda: open_sealed(run.parties.auditor.identity, sealed, info)
    yield lambda: client.enrolment.tag_key_of(99)
    yield lambda: enrolment.holder.take(
        SecretShare(replace(share.id, fingerprint="0" * 64), share.quorum, 1, b"x" * 32)
    )
    yield lambda: client.partial_decryption(_last(run, m.SUM).position.__class__(9, 9, 9))
    yield lambda: CiphertextVector.from_bytes(total.to_bytes()[:-1])
    yield lambda: client.receive(replace(client._answers[_last(run, m.UPDATE).position, m.UPDATE].envelope, body=b"x"))


def _last(run, step):
    return [sent for sent in run.transcript.sent if sent.step == step][-1]


def test_no_error_shows_a_secret_not_even_with_the_locals_of_its_frames(told):
    run, _, _, wanted = told
    for number, fail in enumerate(_errors(run)):
        with pytest.raises(HeflError) as error:
            fail()
        assert hits(str(error.value), wanted) == [], number
        assert hits(traced(error.value), wanted) == [], number
