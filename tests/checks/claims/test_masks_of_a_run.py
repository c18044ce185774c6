"""What hides the plaintexts: keys used once, every block, every attempt, the sum too. Each fault passed every row once."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from hefl_core.checks.claims.ledger import LEDGER
from hefl_core.checks.claims.reading import public_keys, vectors_of
from hefl_core.errors import RuntimeUnavailable
from hefl_core.federation.client import Client
from hefl_core.federation.record.transcript import Sent, Transcript
from hefl_core.ids import AUDITOR
from hefl_core.keys.sealing import SealedBody
from hefl_core.measure import masks
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.result import ClaimVerdict
from hefl_core.schemes.onetime import scheme as onetime
from hefl_core.schemes.onetime.scheme import OneTimeScheme
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import blocks, rlwe, threshold
from hefl_core.terms import messages as m
from hefl_core.terms.experiment import Experiment
from hefl_core.terms.messages import EncryptedSum
from hefl_core.wire.canonical import decode, encode

ALONE = Experiment(dataset="breast_cancer", model="logistic", scheme="INSECURE_bfv-1024", clients=4, rounds=2)
TOGETHER = ALONE.but(scheme="INSECURE_bfv-threshold-1024", custody="2-of-4")
HIDES = ("fresh-ciphertexts", "ciphertexts-uniform", "coordinator-blind")


def examined(name, result):
    return next(claim for claim in LEDGER if claim.id == name).examine(result)


def fails(name, result, said):
    found = examined(name, result)
    assert found.verdict is ClaimVerdict.FAILS and said in found.evidence, found


def holds(result, *names):
    for name in names:
        found = examined(name, result)
        assert found.verdict is ClaimVerdict.HOLDS, found


def with_blobs(result, changes):
    """The result with other bodies under the same digests."""
    transcript = result.transcript
    copy = Transcript._restore(transcript.lines, {**transcript.blobs, **changes})
    return replace(result, transcript=copy)


def uploads_changed(result, change, chosen=lambda sent: True):
    """Blocks of chosen uploads put through ``change(key, vector)``."""
    keys = public_keys(result.transcript)
    changes = {
        sent.head.header.content_digest: replace(
            vector, blocks=change(keys[sent.head.header.key_id], vector)
        ).to_bytes()
        for sent, vector in vectors_of(result.transcript)
        if chosen(sent)
    }
    return with_blobs(result, changes)


# -- one one-time key, two bodies ---------------------------------------------------------------------------------


def with_one_key(monkeypatch, same):
    """Clients draw the key of another: ``same(n)`` says whose draw the n-th is, counted from 0."""
    drawn, kept_form, real = [], OneTimeScheme.kept_form, onetime.gaussian

    class Again:
        def draw(self, degree):
            drawn.append(real(4.5, 60).draw(degree))
            drawn[-1] = drawn[same(len(drawn) - 1)]
            return drawn[-1]

    def kept(self, words, label):
        with pytest.MonkeyPatch.context() as once:
            once.setattr(onetime, "gaussian", lambda *_: Again())
            return kept_form(self, words, label)

    monkeypatch.setattr(OneTimeScheme, "kept_form", kept)


@pytest.mark.parametrize("custody", ["individual", "2-of-4"])
def test_two_clients_with_one_one_time_key_are_seen(custody, monkeypatch):
    """Clients 1 and 3: neither is the other's next. The control: the same run with keys of their own."""
    experiment = ALONE.but(scheme="INSECURE_onetime-1024", custody=custody, rounds=1)
    holds(run_experiment(experiment), *HIDES)
    with_one_key(monkeypatch, lambda number: 0 if number == 2 else number)
    result = run_experiment(experiment)
    for name in HIDES:
        fails(name, result, "one one-time key hides two bodies: client-1's and client-3's")


def test_one_key_in_two_rounds_under_one_public_number_is_seen():
    """As it would be if the public a_j did not belong to the round; and honest pairs are no such ones."""
    scheme = open_scheme("INSECURE_onetime-1024")
    key, _ = scheme.keygen(Quorum(1, 3))
    kept = {}

    def again(name, make):
        return kept.setdefault(name, make())

    x = np.full(40, 0.01)
    once = scheme.in_round(onetime.NO_ROUND, again)
    first = once.encrypt(key, x, bound=0.5, max_terms=3)
    others = [scheme.encrypt(key, x, bound=0.5, max_terms=3) for _ in range(8)]
    assert masks.bodies_of_one_key(key, others) == []
    assert masks.bodies_of_one_key(key, [first, *others, once.encrypt(key, x, bound=0.5, max_terms=3)]) == [(0, 9)]


# -- blocks and attempts that were not looked at --------------------------------------------------------------------


@pytest.fixture(scope="module")
def many():
    """Uploads of 49 blocks."""
    return run_experiment(ALONE.but(dataset="digits", model="mlp-large", rounds=1))


@pytest.mark.parametrize("change", [masks.with_low_bits_of_zero, masks.without_mask])
def test_a_fault_from_the_fifth_block_on_is_seen(many, change):
    holds(many, "ciphertexts-uniform")
    late = uploads_changed(many, lambda key, one: (*one.blocks[:4], *change(key, one)[4:]))
    fails("ciphertexts-uniform", late, "p ")


@pytest.fixture(scope="module")
def retried():
    """A run whose first round took two attempts."""
    upload = Client.upload

    def dies(self, position):
        if (self.name, position.round, position.attempt) == ("client-3", 1, 1):
            raise RuntimeUnavailable("client-3: gone")
        return upload(self, position)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "upload", dies)
        yield {name: run_experiment(ALONE.but(scheme=name)) for name in ("INSECURE_bfv-1024", "INSECURE_onetime-1024")}


@pytest.mark.parametrize("scheme", ["INSECURE_bfv-1024", "INSECURE_onetime-1024"])
def test_an_attempt_that_failed_is_looked_at_too(retried, scheme):
    """An honest retry repeats its one-time body: that is no repetition."""
    result = retried[scheme]
    assert {sent.position.attempt for sent, _ in vectors_of(result.transcript)} == {1, 2}
    holds(result, *HIDES)
    late = uploads_changed(result, masks.with_low_bits_of_zero, lambda sent: sent.position.attempt == 1)
    if scheme == "INSECURE_bfv-1024":
        late = uploads_changed(
            result, masks.with_low_bits_of_zero, lambda sent: (sent.position.round, sent.position.attempt) == (1, 1)
        )
    fails("ciphertexts-uniform", late, "p ")


# -- what opens without a key ---------------------------------------------------------------------------------------


def cancelled(result):
    """The last upload of round 1 has the mask that cancels the others': c1 of the sum is 1, c0 near whole plaintexts."""
    transcript, keys = result.transcript, public_keys(result.transcript)
    found = [(sent, vector) for sent, vector in vectors_of(transcript) if sent.position.round == 1]
    key = keys[found[0][0].head.header.key_id]
    parts = masks._Parts.of(key)
    ring, primes = parts.ring, rlwe.data_primes(parts.ring)
    column, whole = np.array(primes, dtype=np.uint64)[:, None], threshold.modulus(parts.ring)
    plain = [(7919 * at + 1234) % ring.plain_modulus * whole // ring.plain_modulus for at in range(ring.degree)]
    total = np.zeros((2, len(primes), ring.degree), dtype=np.uint64)
    total[0], total[1, :, 0] = [[value % prime for value in plain] for prime in primes], 1
    read = [parts.read(vector) for _, vector in found]
    last = []
    for at in range(len(read[0])):
        others = sum(one[at].astype(object) for one in read[:-1])
        last.append(((total.astype(object) - others) % column.astype(object)).astype(np.uint64))
    sent, vector = found[-1]
    summed = next(one for one in transcript.sent if one.step == m.SUM and one.position.round == 1)
    message = decode(transcript.body(summed), EncryptedSum)
    bare = replace(message.total, blocks=tuple(blocks.write(parts.preset, ring, total) for _ in last))
    return with_blobs(
        result,
        {
            sent.head.header.content_digest: replace(vector, blocks=parts.write(vector, last)).to_bytes(),
            summed.body: encode(EncryptedSum(bare, message.updates)),
        },
    )


def test_masks_that_cancel_in_the_sum_are_seen():
    result = run_experiment(ALONE.but(rounds=1))
    holds(result, "coordinator-blind")
    fails("coordinator-blind", cancelled(result), "sum of coordinator opens without a key")


@pytest.mark.parametrize("name", ["INSECURE_bfv-1024", "INSECURE_ckks-1024", "INSECURE_onetime-1024"])
@pytest.mark.parametrize("share", [0.03, 0.19])
def test_a_share_of_an_upload_that_opens_without_a_key_is_seen(name, share):
    """19 % passed a mean; honest ones do not fail."""
    scheme = open_scheme(name)
    key, _ = scheme.keygen(Quorum(1, 3))
    vector = scheme.encrypt(key, np.full(400, 0.01), bound=0.5, max_terms=3)
    assert not masks.opens_without_key(key, vector)
    parts = masks._Parts.of(key)
    bare = parts.read(replace(vector, blocks=masks.without_key(key, vector)))
    mixed = []
    for closed, open_ in zip(parts.read(vector), bare, strict=True):
        mine, theirs = (masks._coefficients(parts.ring, one[0]) for one in (closed, open_))
        first = max(1, round(share * parts.used))
        c0 = np.concatenate([theirs[:, :first], mine[:, first:]], axis=1)
        back = c0 if parts.ring.plain_modulus else rlwe.ntt(c0, rlwe.data_primes(parts.ring))
        mixed.append(np.stack([back, closed[1]]))
    assert masks.opens_without_key(key, replace(vector, blocks=parts.write(vector, mixed)))


def test_a_fifth_of_a_one_time_body_in_the_open_is_seen():
    scheme = open_scheme("INSECURE_onetime-1024")
    key, _ = scheme.keygen(Quorum(1, 3))
    vector = scheme.encrypt(key, np.full(1200, 0.01), bound=0.5, max_terms=3)
    body = np.concatenate(scheme.read(key, vector)[1])
    assert len(body) == 300 and not masks.opens_without_key(key, vector)
    scale = 1 << scheme.preset.scale_bits
    body[:60] = np.arange(60, dtype=np.uint64) * np.uint64(scale) + np.arange(60, dtype=np.uint64) % np.uint64(9)
    assert masks.opens_without_key(key, replace(vector, blocks=(vector.blocks[0], body.astype("<u8").tobytes())))


def test_a_search_for_nothing_is_no_search():
    """No update has entries enough for a piece of its own: once the row said that none of 0 pieces was found."""
    found = examined("coordinator-blind", run_experiment(ALONE.but(learning_rate=1e-320, rounds=1)))
    assert found.verdict is ClaimVerdict.NOT_CHECKED, found


# -- answers --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def together():
    return run_experiment(TOGETHER.but(rounds=1))


def parts_changed(result, change):
    """The body of every partial put through ``change(sealed)``, on lines that name it."""
    transcript, blobs, lines = result.transcript, dict(result.transcript.blobs), []
    for line in transcript.lines:
        if isinstance(line.entry, Sent) and line.entry.step == m.PARTIAL:
            body = encode(change(decode(blobs[line.entry.body], SealedBody)))
            blobs[masks.digest(body)] = body
            line = msgspec.structs.replace(line, entry=msgspec.structs.replace(line.entry, body=masks.digest(body)))
        lines.append(line)
    return replace(result, transcript=Transcript._restore(lines, blobs))


def test_a_part_with_a_wrap_for_the_auditor_is_seen(together):
    def to_auditor(sealed):
        return replace(sealed, wraps=(*sealed.wraps[:-1], replace(sealed.wraps[-1], recipient=AUDITOR)))

    holds(parts_changed(together, lambda sealed: sealed), "quorum-kept")
    fails("quorum-kept", parts_changed(together, to_auditor), "is sealed to others than its header names")


def test_a_key_that_lies_backwards_in_its_wraps_is_seen(together):
    from hefl_core.measure import seals

    sent = next(one for one in together.transcript.sent if one.step == m.PARTIAL)
    beside = decode(seals.with_key_beside(sent), SealedBody)
    turned = replace(beside, wraps=tuple(replace(one, wrapped=one.wrapped[::-1]) for one in beside.wraps))
    assert seals.opens_without_key(sent.head, encode(beside)) and seals.opens_without_key(sent.head, encode(turned))


def test_an_answer_before_the_request_is_seen(together):
    lines = list(together.transcript.lines)
    at = {one.entry.step: n for n, one in enumerate(lines) if isinstance(one.entry, Sent)}
    lines.insert(at[m.REQUEST], lines.pop(at[m.PARTIAL]))
    early = replace(together, transcript=Transcript._restore(lines, dict(together.transcript.blobs)))
    fails("quorum-kept", early, "an answer before the request")
