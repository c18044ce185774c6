"""Vectors Python to JavaScript to Python, byte for byte: what phones encrypt, open and train is what Python would."""

import hashlib
import math

import numpy as np
import pytest

from hefl_core.classroom import bridge
from hefl_core.errors import IntegrityError
from hefl_core.ids import digest
from hefl_core.learning.base import Examples, LocalTraining
from hefl_core.learning.models import model_for
from hefl_core.learning.numpy_trainer import NumpyTrainer
from hefl_core.schemes.base import expose_secret
from hefl_core.schemes.fixed_point import pack
from hefl_core.schemes.presets import load_preset
from hefl_core.schemes.ring import rlwe, shamir
from hefl_core.wire.canonical import encode
from tests.classroom.javascript import JavaScriptError

COLLECTIVE = ("bfv-threshold-classroom", "bfv-threshold", "bfv-threshold-small", "bfv-threshold-strict")
ENCRYPT = """
  const parameters = JSON.parse(given.parameters), key = m.phone.openKey(parameters, given.raw);
  return given.answers.map(({ integers, values, how }) =>
    m.phone.uploadOf(key.ring, m.phone.encrypt(key, m.phone.wordsOf(parameters, integers, values, how))));
"""
PARTIALS = """
  const parameters = JSON.parse(given.parameters), ring = m.phone.openRing(parameters);
  return given.materials.map(([index, material]) => {
    const share = m.holder.openShare(ring, material, index, parameters.custody.holders, parameters.key_id);
    return m.holder.partialDecrypt(share, given.c1, given.members, parameters.flood);
  });
"""


def answers(scheme, count, *, max_terms, seed=5):
    rng = np.random.default_rng(seed)
    how = {"bound": 1.0, "max_terms": max_terms}
    room = (scheme.ring.plain_modulus - 1) // max_terms
    return [
        {"integers": [int(rng.integers(room + 1)), 1, 0], "values": rng.uniform(-1, 1, 9).tolist(), "how": how}
        for _ in range(count)
    ]


def test_hashes_are_the_standards(js):
    texts = [bytes((7 * at + n) % 256 for at in range(n)) for n in (0, 1, 55, 56, 64, 119, 135, 136, 137, 272, 1000)]
    found = js.run("return given.texts.map((t) => [m.hash.sha256(t), new m.hash.Shake256(t).read(500)])", texts=texts)
    for text, (sha, shake) in zip(texts, found, strict=True):
        assert sha == hashlib.sha256(text).digest() and shake == hashlib.shake_256(text).digest(500)


def test_digests_and_messagepack_are_pythons(js):
    name, members = "bfv-threshold/epoch-1/" + 64 * "a", (1, 4, 5)
    body = """
      const { digest, text } = m.hash, { packed } = m.holder;
      return [digest(text('a'), text('bc')), packed(given.n), packed(given.n, 4, given.s), packed(given.s)];
    """
    found = js.run(body, n=name, s=members)
    assert found == [digest(b"a", b"bc"), encode(name), encode((name, 4, members)), encode(members)]


@pytest.mark.parametrize("preset", ["bfv-lean", "bfv-threshold"])
def test_products_equal_the_schoolbooks(js, preset):
    """Row times small, and row times row, against sums written by the definition; the largest residues among them."""
    ring = bridge.seal.open_ring(load_preset(preset))
    body = """
      const found = [], N = 64, fourier = new m.ring.Fourier(N);
      for (const decimal of given.primes) {
        const prime = m.ring.openPrime(decimal), top = prime.value - 1n;
        for (const fill of ["random", "top", "half"]) {
          const a = m.ring.uniformRow(N, prime, m.ring.secureRandom), b = m.ring.uniformRow(N, prime, m.ring.secureRandom);
          for (let j = 0; fill !== "random" && j < N; j++) m.ring.setWord(a, j, fill === "top" ? top : prime.value / 2n);
          const small = m.ring.ternary(N, m.ring.secureRandom);
          const words = Array.from({ length: N }, (_, j) => m.ring.wordOf(b, j));
          const { timesSmall, timesRow, prepareLarge, prepareDigits, timesByHand, equal } = m.ring;
          const quick = timesSmall(fourier, prepareLarge(fourier, a, prime), fourier.forward(small), prime);
          const rows = timesRow(fourier, prepareDigits(fourier, a, prime), prepareDigits(fourier, b, prime), prime);
          const byHand = timesByHand(a, words, prime);
          found.push(equal([quick], [timesByHand(a, small, prime)]), equal([rows], [byHand]));
          rows.low[5] ^= 1;
          found.push(!equal([rows], [byHand]));
        }
      }
      return found;
    """
    found = js.run(body, primes=[str(p) for p in ring.primes])
    assert len(found) == 9 * len(ring.primes) and all(found)


@pytest.mark.parametrize(
    ("size", "fault"), [("2 ** 16", ""), ("2 ** 16", "fourier.rootRe[3] += 1e-6"), ("2 ** 40 + 1", "")]
)
def test_a_product_that_doubles_cannot_carry_is_refused(js, size, fault):
    """A browser whose cosine is bad, and numbers past 2^45; the control passes."""
    body = f"""
      const fourier = new m.ring.Fourier(64), large = new Float64Array(64).fill({size});
      {fault};
      const spectrum = fourier.forward(large);
      return fourier.rounded(m.ring.pointwise(spectrum, spectrum, {{ re: new Float64Array(32), im: new Float64Array(32) }}));
    """
    if (size, fault) == ("2 ** 16", ""):
        assert js.run(body)[63] == 64 * 2**32
        return
    with pytest.raises(JavaScriptError, match="away from a whole number"):
        js.run(body)


@pytest.mark.parametrize("preset", ["bfv-lean", "bfv-threshold-classroom"])
def test_the_transform_is_seals(js, held, preset):
    world = held(preset)
    primes, degree = world.scheme.ring.primes, world.scheme.ring.degree
    element = rlwe.uniform(primes, degree)
    body = """
      const { ring, ntt } = m, primes = given.primes.map(ring.openPrime);
      const read = ring.readRows(given.words, given.degree, primes, ring.eightBytes, "x");
      const there = read.map((row, l) => ntt.ntt(row, primes[l])), back = there.map((row, l) => ntt.inverseNtt(row, primes[l]));
      const write = (element, widthOf) => ring.writeRows(element, primes, widthOf);
      return [write(there, ring.eightBytes), write(back, ring.eightBytes), write(there, ring.fewBytes)];
    """
    there, back, few = js.run(body, primes=[str(p) for p in primes], degree=degree, words=element.tobytes())
    wanted = rlwe.ntt(element, primes)
    assert (there, back, few) == (wanted.tobytes(), element.tobytes(), shamir.to_bytes(wanted, primes))


@pytest.mark.parametrize("preset", ["bfv-lean", "bfv-compact", *COLLECTIVE])
def test_words_are_pythons(js, held, preset):
    """Integers, then fields: halves to even, the bound's ends, and full fields with one term."""
    world = held(preset)
    step = world.scheme.fields(4).step(1.0)
    cases = [(max_terms, [0.0, 1.0, -1.0, 0.5 * step, 1.5 * step, -2.5 * step, 0.3]) for max_terms in (1, 2, 4, 16)]
    body = """
      const parameters = JSON.parse(given.parameters);
      return given.cases.map(([n, v]) => m.phone.wordsOf(parameters, [3, 0], v, { bound: 1, max_terms: n }));
    """
    found = js.run(body, cases=cases, **world.given)
    for (terms, values), words in zip(cases, found, strict=True):
        fields = world.scheme.fields(terms).quantise(np.array(values), 1.0)
        assert words == [3, 0, *map(int, pack(fields, world.preset.fields, world.preset.field_bits))]


@pytest.mark.parametrize("preset", ["bfv-lean", "bfv-threshold-strict"])
def test_a_sum_of_both_languages_opens_exactly(js, held, preset):
    world = held(preset)
    given = answers(world.scheme, 4, max_terms=40)
    raws = js.run(ENCRYPT, answers=given, **world.given)
    assert {len(raw) for raw in raws} == {bridge.upload_nbytes(world.preset)} and len(set(raws)) == 4
    vectors = [world.upload(raw, length=9) for raw in raws]
    vectors += [
        world.scheme.encrypt(world.key, np.array(one["values"]), integers=one["integers"], **one["how"])
        for one in given
    ]
    running = world.scheme.accumulator(world.key)
    for vector in vectors:
        running.add(vector)
    total, members = running.total(), (1, 3, 5)[: world.quorum.threshold]
    partials = [world.scheme.partial_decrypt(world.shares[i - 1], total, members) for i in members]
    opened = world.scheme.open(world.key, total, partials)
    fields = world.scheme.fields(40)
    exact = sum(fields.quantise(np.array(one["values"]), 1.0).astype(int) - fields.offset for one in given) * 2
    assert opened.integers == tuple(2 * sum(one["integers"][j] for one in given) for j in range(3))
    assert np.array_equal(np.rint(opened.values / fields.step(1.0)), exact)


@pytest.mark.parametrize("preset", ["bfv-threshold-classroom", "bfv-threshold"])
def test_partial_decryptions_are_the_same_bytes(js, held, preset):
    """Three phones' answers equal Python's, open the sum alone, and differ by set."""
    world = held(preset)
    raws = js.run(ENCRYPT, answers=answers(world.scheme, 3, max_terms=40), **world.given)
    running = world.scheme.accumulator(world.key)
    for raw in raws:
        running.add(world.upload(raw, length=9))
    total, members = running.total(), (1, 3, 4)
    materials = [(i, bridge.phone_share(world.shares[i - 1])) for i in members]
    found = js.run(
        PARTIALS, materials=materials, members=members, c1=bridge.sum_for_holders(total, world.preset), **world.given
    )
    wanted = [world.scheme.partial_decrypt(world.shares[i - 1], total, members) for i in members]
    assert found == [partial.blocks[0] for partial in wanted]
    sent = [bridge.partial(raw, world.preset, total, i, members) for i, raw in zip(members, found, strict=True)]
    assert sent == wanted and world.scheme.open(world.key, total, sent).integers[1] == 3
    assert world.scheme.partial_decrypt(world.shares[0], total, (1, 2, 3)).blocks[0] != found[0]
    mixed = bytes([found[0][0] ^ 1]) + found[0][1 : 8 * 64] + found[0][8 * 64 : -1] + bytes([found[0][-1] ^ 1])
    bad = [bridge.partial(mixed, world.preset, total, 1, members), *sent[1:]]
    with pytest.raises(IntegrityError):
        world.scheme.open(world.key, total, bad)


def noise_of(world, raw):
    """Each coefficient's distance from round(m·q/t), by the whole key, for a ciphertext of zeros and one field."""
    ring, primes = world.scheme.ring, rlwe.data_primes(world.scheme.ring)
    words = np.frombuffer(raw, "<u8").reshape(2, len(primes), ring.degree)
    if world.quorum.collective:
        points = [
            shamir.from_bytes(expose_secret(s)[: world.scheme.partial_nbytes], primes, ring.degree, "s")
            for s in world.shares
        ]
        secret = np.zeros((len(primes), ring.degree), np.uint64)
        for i in (1, 2, 3):
            factors = [shamir.lagrange((1, 2, 3), i, p) for p in primes]
            secret = shamir.add(secret, shamir.scale(points[i - 1], factors, primes), primes)
    else:
        secret = rlwe.read_secret_key(ring, expose_secret(world.shares[0]))
    rows = rlwe.phase(ring, words, secret)
    q = math.prod(primes)
    units = [q // p * pow(q // p, -1, p) for p in primes]
    whole = [sum(int(row[j]) * unit for row, unit in zip(rows, units, strict=True)) % q for j in range(10, ring.degree)]
    return np.array([float(w - q if w > q // 2 else w) for w in whole])


ONE_ERROR_PER_PRIME = """
  // The mistake: an error drawn anew for each prime.
  const parameters = JSON.parse(given.parameters), key = m.phone.openKey(parameters, given.raw), { ring } = key;
  const u = ring.fourier.forward(m.ring.ternary(ring.degree, m.ring.secureRandom));
  const polynomial = (prepared) => m.ring.switchDown(prepared.map((row, l) => {
    const made = m.ring.timesSmall(ring.fourier, row, u, ring.primes[l]);
    m.ring.addSmall([made], m.ring.errors(ring.degree, m.ring.secureRandom), [ring.primes[l]]);
    return made;
  }), ring.primes);
  return [m.phone.uploadOf(ring, [polynomial(key.b), polynomial(key.a)])];
"""


@pytest.mark.parametrize("preset", ["bfv-lean", "bfv-threshold-classroom", "bfv-threshold"])
def test_noise_is_what_the_preset_states(js, held, preset):
    """Variance within 7 standard errors of σ² (false alarm below 1e-11); the control, one error per prime, is far away."""
    world = held(preset)
    given = [{"integers": [0, 0, 0], "values": [0.5], "how": {"bound": 1.0, "max_terms": 40}}] * 2
    raws = js.run(ENCRYPT, answers=given, **world.given)
    noise = np.concatenate([noise_of(world, raw) for raw in raws])
    ratio, spread = noise.var() / world.preset.noise_std**2, math.sqrt(2 / len(noise))
    # σ of the preset leaves out the fresh error divided by P, and the key's length varies by a hundredth from key to key.
    extra = (
        (2 * 2 * world.preset.degree / 3 + 1)
        * 10.5
        / float(world.scheme.ring.primes[-1]) ** 2
        / world.preset.noise_std**2
    )
    assert abs(ratio - 1 - extra) < 7 * spread + 0.08, (ratio, extra, spread)
    bad = noise_of(world, js.run(ONE_ERROR_PER_PRIME, **world.given)[0])
    assert bad.std() > 2**10 * world.preset.noise_std or len(world.scheme.ring.primes) == 1


def test_training_follows_the_numpy_trainer(js):
    rng = np.random.default_rng(3)
    features, labels = rng.normal(size=(15, 30)).astype(np.float32), rng.integers(0, 3, 15)
    model = model_for("logistic", 30, 3)
    theta, how = model.init(b"start"), LocalTraining(local_epochs=5, batch=15, learning_rate=0.1, seed=1)
    wanted = NumpyTrainer(model).train(theta, Examples(features, labels), how)
    data = {"features": features.tolist(), "labels": labels.tolist()}
    body = """
      const after = m.train.train(given.theta, given.data, 3, { local_epochs: 5, learning_rate: 0.1 });
      return { after, update: m.train.updateOf(given.theta, after, 0.01), accuracy: m.train.accuracy(after, given.data, 3) };
    """
    found = js.run(body, theta=theta.tolist(), data=data)
    assert np.abs(np.array(found["after"]) - wanted).max() < 5e-7 < np.abs(theta - wanted).max()
    assert np.allclose(found["update"], np.clip(wanted - theta, -0.01, 0.01), atol=5e-7)
    assert found["accuracy"] == pytest.approx(NumpyTrainer(model).evaluate(wanted, Examples(features, labels)).accuracy)
