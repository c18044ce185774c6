"""One-time keys: a retry repeats the body, each damaged pair ends in a named error, and every shift of a word is noticed."""

from dataclasses import replace

import numpy as np
import pytest

from hefl_core.errors import IntegrityError, KeyUseError, ParameterError, RoundError, WireError
from hefl_core.keys.sum_tag import TagKey
from hefl_core.schemes.base import RoundContext
from hefl_core.schemes.lattice_estimates import core_svp, smoothing_std
from hefl_core.schemes.onetime.scheme import ONE_TIME, TAG_PRIME, Made, OneTimeScheme
from hefl_core.schemes.presets import PRESETS
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import block_count, fresh_nbytes, open_scheme, partial_nbytes
from hefl_core.wire.canonical import decode
from hefl_core.wire.envelope import Position

PRESET = PRESETS["INSECURE_onetime-1024"]
ROUND = RoundContext("experiment", b"record", 1)
CLIENTS = ("client-1", "client-2", "client-3")
BOUND = 0.5
D = 500


class Client:
    """A client in one round: what it keeps, and its update."""

    def __init__(self, world, name, seed):
        self.world, self.name, self.kept = world, name, {}
        self.update = np.random.default_rng(seed).uniform(-BOUND, BOUND, D)

    def keep(self, name, make):
        return self.kept.setdefault(name, make()) if name not in self.kept else self.kept[name]

    def send(self, update=None, context=ROUND, bound=BOUND, max_terms=3):
        scheme = OneTimeScheme(PRESET, context, self.keep)
        tag = self.world.tag_key.for_message("experiment", 1, 1, 1, self.name)
        x = self.update if update is None else update
        return scheme.encrypt(self.world.key, x, bound=bound, max_terms=max_terms, integers=(7, 1), tag=tag)


class World:
    """Three clients, a key and a tag key."""

    def __init__(self, quorum):
        self.scheme = OneTimeScheme(PRESET, ROUND)
        self.key, self.shares = self.scheme.keygen(quorum)
        self.tag_key = TagKey()
        self.clients = [Client(self, name, seed) for seed, name in enumerate(CLIENTS)]
        self.sent = [client.send() for client in self.clients]

    def total(self, vectors=None):
        running = self.scheme.accumulator(self.key)
        for vector in self.sent if vectors is None else vectors:
            running.add(vector)
        return running.total()

    def open(self, total, scheme=None, change=None):
        active = self.shares[: self.key.quorum.threshold]
        parts = [self.scheme.partial_decrypt(share, total, [one.index for one in active]) for share in active]
        return (scheme or self.scheme).open(self.key, total if change is None else change(total), parts)

    def check(self, opened):
        self.tag_key.check(opened, CLIENTS, "experiment", Position(1, 1))


@pytest.fixture(scope="module", params=[Quorum(1, 3), Quorum(2, 3)], ids=str)
def world(request):
    return World(request.param)


def words_of(world, block):
    return np.frombuffer(block, dtype="<u8").copy()


def shifted(world, total, delta, at=5):
    """A coordinator that adds ``delta`` to a word of the sum."""
    row = words_of(world, total.blocks[1])
    row[at] = (int(row[at]) + (delta << PRESET.scale_bits)) % world.scheme.body.prime
    return replace(total, blocks=(total.blocks[0], row.tobytes(), *total.blocks[2:]))


# -- what it is for ---------------------------------------------------------------------------------------------------


def test_the_sum_opens_exactly_and_with_its_tag(world):
    opened = world.open(world.total())
    expected = sum(client.update for client in world.clients)
    assert np.max(np.abs(opened.values - expected)) <= world.scheme.sum_error(BOUND, 3, 3)
    assert opened.integers == (21, 3) and opened.modulus == TAG_PRIME
    world.check(opened)


@pytest.mark.parametrize("d", [3, 20_000])
def test_holders_open_one_short_ciphertext_whatever_the_length(world, d):
    scheme = open_scheme(PRESET.name)
    total = scheme.add(world.key, *(scheme.encrypt(world.key, np.zeros(d), integers=(1, 1)) for _ in range(2)))
    active = world.shares[: world.key.quorum.threshold]
    part = scheme.partial_decrypt(active[0], total, [one.index for one in active])
    assert len(part.blocks) == 1 and len(total.blocks) == 1 + -(-(2 + -(-d // 4)) // 1024)
    if world.key.quorum.collective:
        assert len(scheme.mask_digests(total)) == 1
        assert len(part.blocks[0]) == partial_nbytes(PRESET)


def test_only_used_coefficients_are_sent(world):
    sizes = fresh_nbytes(PRESET, D, world.key.quorum)
    assert tuple(len(block) for block in world.sent[0].blocks) == tuple(most for _, most in sizes)
    assert len(sizes) == block_count(PRESET, D) == 2
    assert sizes[1] == (8 * (2 + 2 + D // 4),) * 2


@pytest.mark.parametrize(
    ("quorum", "parameters", "most"),
    [
        (Quorum(1, 5), 10**6, 2.04),
        (Quorum(3, 5), 10**6, 2.16),
        (Quorum(1, 5), 99_530, 2.3),
        (Quorum(3, 5), 99_530, 3.6),
    ],
)
def test_bytes_per_parameter(quorum, parameters, most):
    assert sum(size for _, size in fresh_nbytes(PRESETS["onetime"], parameters, quorum)) / parameters <= most


# -- once per round -----------------------------------------------------------------------------------------------------


def test_a_retry_repeats_the_body_and_encrypts_the_key_afresh(world):
    again = [client.send() for client in world.clients]
    for first, second in zip(world.sent, again, strict=True):
        assert first.blocks[1:] == second.blocks[1:] and first.blocks[0] != second.blocks[0]
        assert world.scheme.lasting(first) == world.scheme.lasting(second)
    # One of them died: its earlier upload is carried over, and opens with the others'.
    carried = world.total([world.sent[0], *again[1:]])
    one, other = world.open(world.total()), world.open(carried)
    assert np.array_equal(one.words, other.words) and one.tag == other.tag
    world.check(other)


@pytest.mark.parametrize(
    "changes", [{"update": np.full(D, 0.1)}, {"bound": 0.75}, {"max_terms": 4}], ids=lambda changes: next(iter(changes))
)
def test_a_second_body_in_a_round_is_refused(world, changes):
    client = Client(world, "client-1", 5)
    client.send()
    with pytest.raises(RoundError, match="used twice"):
        client.send(**changes)
    assert Client(world, "client-1", 5).send(**changes)  # the control: the first of its round


def test_every_round_has_its_own_public_polynomials(world):
    for context in (replace(ROUND, round=2), replace(ROUND, experiment="x"), replace(ROUND, epoch_record=b"x")):
        with pytest.raises(IntegrityError, match="errors of block"):
            world.open(world.total(), scheme=OneTimeScheme(PRESET, context))


def test_outside_of_a_round_every_call_has_its_own_key(world):
    scheme = open_scheme(PRESET.name)
    one, other = (scheme.encrypt(world.key, np.zeros(9)) for _ in range(2))
    assert all(a != b for a, b in zip(one.blocks, other.blocks, strict=True))


# -- pairs that do not belong together, keys and errors that are too large -------------------------------------------------


def test_a_body_with_another_key_is_garbage_and_is_refused(world):
    a, b, c = world.sent
    with pytest.raises(IntegrityError, match="errors of block"):
        world.open(world.total([replace(a, blocks=(Client(world, "x", 9).send().blocks[0], *a.blocks[1:])), b, c]))
    swapped = [replace(a, blocks=(b.blocks[0], *a.blocks[1:])), replace(b, blocks=(a.blocks[0], *b.blocks[1:])), c]
    world.check(world.open(world.total(swapped)))  # the control: the sums are those of the same keys and bodies


def with_key(world, vector, secret):
    scheme = world.scheme
    transport, inner = scheme.transport(world.key.quorum), scheme._inner(world.key)
    return replace(vector, blocks=(transport.encrypt(inner, secret), *vector.blocks[1:]))


def test_a_key_beyond_its_table_is_refused(world):
    words, secret = np.zeros(40, dtype=np.uint64), np.zeros(PRESET.degree, dtype=np.int64)

    def opened(largest):
        secret[:] = largest
        blocks = world.scheme.body.hide(words, secret, world.scheme.public)
        label = replace(world.sent[0], length=160, integers=0, tagged=False, blocks=(b"", *blocks))
        return world.open(with_key(world, label, secret))

    with pytest.raises(IntegrityError, match="digits"):
        opened(61)
    with pytest.raises(IntegrityError, match="fields"):  # the control: 60 passes; these words are no fields
        opened(60)


@pytest.mark.parametrize(("error", "named"), [(511, "errors of block"), (130, None)])
def test_errors_beyond_an_honest_sum_are_refused(world, error, named):
    """12 · 6.36 · √3 is 132: an error of 130 and an honest sum around it may pass or fail, so the others are left out."""
    total = world.total()
    clean = world.open(total)

    def moved(total):
        row = words_of(world, total.blocks[1])
        row[7] = (int(row[7]) + error) % world.scheme.body.prime
        return replace(total, blocks=(total.blocks[0], row.tobytes()))

    wrong = moved(total)
    if named is None:
        with pytest.raises(IntegrityError, match="errors of block"):
            world.open(moved(wrong))  # twice 130 is beyond it
        return
    with pytest.raises(IntegrityError, match=named):
        world.open(wrong)
    assert clean.integers == (21, 3)


def test_a_stale_or_foreign_answer_is_noticed(world):
    total, other = world.total(), world.total([client.send() for client in world.clients])
    active = world.shares[: world.key.quorum.threshold]
    indices = [one.index for one in active]
    stale = [world.scheme.partial_decrypt(share, other, indices) for share in active]
    right = world.scheme.partial_decrypt(active[0], total, indices)
    stale = [replace(part, total_digest=right.total_digest) for part in stale]
    with pytest.raises(IntegrityError, match="noise of the keys' sum"):
        world.scheme.open(world.key, total, stale)
    with pytest.raises(IntegrityError, match="expected one block"):
        world.scheme.open(world.key, total, [replace(part, blocks=()) for part in stale])


# -- shifts by the coordinator ---------------------------------------------------------------------------------------------


def shifts(world):
    words = (world.scheme.body.prime - 1) >> PRESET.scale_bits
    return (1, -1, words // 2, TAG_PRIME % words, -(TAG_PRIME % words))


@pytest.mark.parametrize("which", range(5))
def test_the_tag_notices_every_shift_of_a_word(world, which):
    total, delta = world.total(), shifts(world)[which]
    with pytest.raises(IntegrityError, match=r"tag|fields"):
        world.check(world.open(shifted(world, total, delta)))
    # Errors, digits and count alone notice nothing: small shifts open, and their count is right.
    if abs(delta) == 1:
        assert world.open(shifted(world, total, delta)).integers == (21, 3)
    # A shift of the first word, an exact integer without fields, opens whatever its size: the tag alone refuses it.
    opened = world.open(shifted(world, total, delta, at=0))
    with pytest.raises(IntegrityError, match="tag"):
        world.check(opened)


def test_modulo_a_power_of_two_half_of_the_shifts_would_pass():
    """The control for the tag's prime: modulo 2^50, an even coefficient does not see a shift by 2^49."""
    modulus, r, word = 1 << 50, 6, 12345
    assert r * word % modulus == r * (word + modulus // 2) % modulus
    assert r * word % TAG_PRIME != r * (word + modulus // 2) % TAG_PRIME


# -- bytes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, 1])
def test_bytes_of_another_form_are_refused(world, which):
    vector = world.sent[0]

    def with_block(data):
        return replace(vector, blocks=tuple(data if n == which else one for n, one in enumerate(vector.blocks)))

    block = vector.blocks[which]
    for wrong in (block[:-8], block + bytes(8), b"", b"\xff" * len(block)):
        with pytest.raises(WireError):
            world.scheme.check(world.key, with_block(wrong))
    world.scheme.check(world.key, vector)
    with pytest.raises(WireError):
        world.scheme.check(world.key, replace(vector, blocks=vector.blocks[:1]))
    with pytest.raises(WireError):
        world.scheme.check(world.key, replace(vector, blocks=()))


def test_without_c1_nothing_is_encrypted(world):
    used = len(world.scheme.transport(world.key.quorum).primes) * world.scheme.transport(world.key.quorum).used
    block = world.sent[0].blocks[0]
    bare = block[: 8 * used] + bytes(len(block) - 8 * used)
    with pytest.raises(WireError, match="c1 is zero"):
        world.scheme.check(world.key, replace(world.sent[0], blocks=(bare, *world.sent[0].blocks[1:])))


def test_a_share_encrypts_nothing(world):
    with pytest.raises(KeyUseError):
        world.scheme.encrypt(world.shares[0], np.zeros(3))


def test_no_part_shows_the_key(world):
    client = Client(world, "client-1", 5)
    vector = client.send()
    made = decode(client.kept[ONE_TIME], Made)
    assert len(made.key) == PRESET.degree and repr(made.key) not in repr(made)
    sent = vector.to_bytes()
    secret = np.frombuffer(made.key, dtype=np.int8)
    for kind in ("i1", "<i2", "<i4", "<i8", "<f8"):
        assert (
            secret[:16].astype(kind).tobytes() not in sent
            and secret[:16].astype(kind).tobytes() in made.key * (kind == "i1") + secret.astype(kind).tobytes()
        )  # the control: where it lies, it is found


# -- rules of the preset --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"secret_std": 4.4}, "smooth"),
        ({"error_std": 4.4}, "smooth"),
        ({"secret_limit": 50}, "beyond 50"),
        ({"error_limit": 60}, "beyond 60"),
        ({"scale_bits": 9}, "wrong with probability"),
        ({"max_terms": 64}, "wrong with probability"),
        ({"modulus_bits": 107}, "at most 106"),
        ({"modulus_bits": 45, "fields": 2}, "do not fit"),
        ({"fields": 5}, "do not fit"),
        ({"degree": 2048}, "at most 53"),
        ({"alone": "bfv-compact-seeded"}, "for its keys"),
        ({"alone": "INSECURE_bfv-1024"}, "for its keys"),
        ({"together": "bfv-lean"}, "for its keys"),
        ({"together": "nothing"}, "for its keys"),
    ],
)
def test_a_broken_rule_does_not_load(changes, reason):
    with pytest.raises(ParameterError, match=reason):
        replace(PRESETS["onetime"], **changes).require_safe()
    PRESETS["onetime"].require_safe()


def test_no_preset_is_weaker_with_hints_than_the_tables_own_row():
    for name in ("onetime", "onetime-2048"):
        assert PRESETS[name].estimate[0] >= core_svp(2048, 53, (2 / 3) ** 0.5, 3.19)[0] == 101
        assert str(PRESETS[name].estimate[0]) in PRESETS[name].security_standard
        assert str(PRESETS[name].estimate[1]) in PRESETS[name].security_standard
    assert 4.4 < 2 * smoothing_std(4096) < 4.5
