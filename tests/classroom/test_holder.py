"""What a holder's phone refuses, what encryption refuses, and what the bridge refuses: each with a control that passes."""

import json

import numpy as np
import pytest

from hefl_core.classroom import bridge
from hefl_core.errors import KeyMismatch, ParameterError, WireError
from hefl_core.schemes.presets import load_preset
from hefl_core.schemes.ring import rlwe
from tests.classroom.javascript import JavaScriptError
from tests.classroom.test_vectors import ENCRYPT, answers

CLASSROOM = "bfv-threshold-classroom"
HOLDER = """
  const parameters = JSON.parse(given.parameters), ring = m.phone.openRing(parameters);
  const share = m.holder.openShare(ring, given.material, 1, 5, parameters.key_id);
  const half = given.uploads[0].length / 2, masks = given.uploads.map((upload) => upload.subarray(half));
  // The coordinator's sum of these uploads, and what it says about it.
  const sumOf = (which) => {
    const total = m.ring.zeroElement(ring.degree, ring.data);
    for (const k of which) {
      const rows = m.ring.readRows(masks[k], ring.degree, ring.data, m.ring.eightBytes, "x");
      rows.forEach((row, l) => m.ring.add(total[l], row, ring.data[l]));
    }
    return m.ring.writeRows(total, ring.data, m.ring.eightBytes);
  };
  const ask = (holder, which, changed = {}) => {
    const { active = [1, 3, 5], own = masks[0], topic = "question 1" } = changed;
    const { terms = which.length, c1 = sumOf(which), seats = which, addends = which } = changed;
    try {
      const members = seats.map((seat) => ({ seat, digest: "" }));
      const own_ = own && { topic, name: m.holder.nameOf(own) };
      return holder.answer({ active, terms, members }, c1, m.hash.join(addends.map((k) => masks[k])), own_).length;
    } catch (error) { return error.message; }
  };
  const fresh = () => new m.holder.Holder(share, parameters);
"""


@pytest.fixture(scope="module")
def asked(js, held):
    """Answers of holder 1 to honest and dishonest openings, all in one run."""
    world = held(CLASSROOM)
    uploads = js.run(ENCRYPT, answers=answers(world.scheme, 7, max_terms=40), **world.given)
    body = (
        HOLDER
        + """
      const once = fresh(), all = [0, 1, 2, 3, 4, 5];
      const found = { honest: ask(once, all), again: ask(once, all) };
      found.secondSet = ask(once, all, { active: [1, 2, 3] });
      found.differ = ask(once, [0, 1, 2, 3, 4]);
      // The same topic encrypted afresh (a second attempt): with the same seats it may, with one less it must not.
      found.attempt = ask(once, [6, 1, 2, 3, 4, 5], { own: masks[6], seats: all });
      found.attemptWithout = ask(once, [6, 1, 2, 3, 4], { own: masks[6], seats: [0, 1, 2, 3, 4] });
      found.reused = ask(once, [6, 1, 2, 3], { own: masks[6], topic: "question 2" });
      found.nextQuestion = ask(once, [5, 1, 2, 3], { own: masks[5], topic: "question 2" });
      found.withoutMine = ask(fresh(), [1, 2, 3, 4, 5]);
      found.nothingSent = ask(fresh(), all, { own: null });
      found.few = ask(fresh(), [0, 1, 2]);
      found.fewSaidMany = ask(fresh(), [0, 1, 2], { terms: 6 });
      found.fewListedMany = ask(fresh(), [0, 1, 2], { terms: 6, seats: all });
      found.onlyMine = ask(fresh(), all, { c1: masks[0] });
      found.mineTwice = ask(fresh(), [0, 0, 1, 2]);
      found.otherSum = ask(fresh(), all, { c1: sumOf([1, 2, 3, 4, 5]) });
      found.notInSet = ask(fresh(), all, { active: [2, 3, 5] });
      found.tooFewHolders = ask(fresh(), all, { active: [1, 3] });
      found.unordered = ask(fresh(), all, { active: [3, 1, 5] });
      found.strangers = ask(fresh(), all, { active: [1, 3, 6] });
      return found;
    """
    )
    return world, js.run(body, material=bridge.phone_share(world.shares[0]), uploads=uploads, **world.given)


def test_an_honest_sum_is_answered_and_the_same_again(asked):
    world, found = asked
    nbytes = bridge.partial_nbytes(world.preset)
    assert (found["honest"], found["again"], found["attempt"], found["nextQuestion"]) == (nbytes,) * 4


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("withoutMine", "my own answer is not in it"),
        ("nothingSent", "my own answer is not in it"),
        ("few", "at least 4 answers, found 3"),
        ("fewSaidMany", "3 members for 6 answers"),
        ("fewListedMany", "at least 4 answers, found 3"),
        ("onlyMine", "not the sum of these answers"),
        ("otherSum", "not the sum of these answers"),
        ("mineTwice", "twice"),
        ("secondSet", "another sum or for another set"),
        ("differ", "another sum or for another set"),
        ("reused", "another sum or for another set"),
        ("attemptWithout", "another sum or for another set"),
        ("notInSet", "found 2,3,5"),
        ("tooFewHolders", "found 1,3"),
        ("unordered", "found 3,1,5"),
        ("strangers", "found 1,3,6"),
    ],
)
def test_a_dishonest_opening_is_refused(asked, fault, words):
    assert words in asked[1][fault]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("undefined", "no crypto.getRandomValues"),
        ("{ getRandomValues: (out) => out }", "repeats itself"),
        ("{ getRandomValues: (out) => out.fill(7) }", "repeats itself"),
        ("{ getRandomValues: (out) => out.forEach((_, at) => (out[at] = at * at % 251)) }", "repeats itself"),
        ("{ getRandomValues: () => { throw new Error('QuotaExceededError') } }", "QuotaExceededError"),
    ],
)
def test_bad_randomness_refuses(js, held, source, words):
    """No source, silence, a constant, the same bytes every time, a failure: nothing is encrypted. Control: the true one."""
    world = held("bfv-lean")
    body = f"""
      const encrypt = () => {{ {ENCRYPT.replace("return", "return", 1)} }};
      if (encrypt().length !== 1) throw new Error("control failed");
      const kept = Object.getOwnPropertyDescriptor(globalThis, "crypto");
      Object.defineProperty(globalThis, "crypto", {{ value: {source}, configurable: true }});
      try {{
        return encrypt();
      }} finally {{
        if (kept) Object.defineProperty(globalThis, "crypto", kept); else delete globalThis.crypto;
      }}
    """
    with pytest.raises(JavaScriptError, match=words):
        js.run(body, answers=answers(world.scheme, 1, max_terms=40), **world.given)


def test_no_module_knows_another_randomness():
    from tests.classroom.javascript import WEB

    for path in WEB.glob("*.js"):
        code = "\n".join(line.split("//")[0] for line in path.read_text(encoding="utf-8").splitlines())
        assert "Math.random" not in code, path.name
        assert "getRandomValues(" not in code or path.name == "ring.js", path.name


def test_random_bytes_come_in_pieces_that_browsers_give(js):
    """65,537 and 200,000 bytes: a browser's source throws above 65,536 a call, and every piece is filled."""
    body = """
      const calls = [], kept = globalThis.crypto.getRandomValues.bind(globalThis.crypto);
      globalThis.crypto.getRandomValues = (out) => { calls.push(out.length); return kept(out); };
      const found = [65536, 65537, 200000].map((n) => m.ring.secureRandom(n));
      globalThis.crypto.getRandomValues = kept;
      return { most: Math.max(...calls), found };
    """
    answer = js.run(body)
    assert answer["most"] <= 65536
    for data in answer["found"]:
        for start in range(0, len(data) - 64, 4096):
            assert data[start : start + 32] != bytes(32)
        assert data[-16:] != bytes(16)


def test_samplers_have_their_distribution(js):
    """Ternary thirds and errors of variance 10.5, at 7 standard errors; the bytes 254 and 255 (the biased ones) apart."""
    n = 1 << 16
    found = js.run(
        "return [m.ring.ternary(given.n, m.ring.secureRandom), m.ring.errors(given.n, m.ring.secureRandom)]", n=n
    )
    ternary, errors = (np.array(part) for part in found)
    counts = np.array([(ternary == value).sum() for value in (-1, 0, 1)])
    assert counts.sum() == n and np.abs(counts - n / 3).max() < 7 * np.sqrt(n * 2 / 9)
    assert abs(errors.mean()) < 7 * np.sqrt(10.5 / n) and np.abs(errors).max() <= 21
    assert abs(errors.var() / 10.5 - 1) < 7 * np.sqrt(2 / n)
    bytes_ = "(count) => new Uint8Array(count).map((_, at) => (at % 2 ? 255 : 3))"
    assert set(js.run(f"return m.ring.ternary(64, {bytes_})")) == {-1}  # 255 is thrown away, 3 gives -1


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("const raw = given.raw.slice(); raw[5] ^= 1; m.phone.openKey(p, raw)", "expected the fingerprint"),
        ("m.phone.openKey(p, given.raw.subarray(8))", "expected the fingerprint"),
        (
            "m.phone.openKey({ ...p, fingerprint: p.fingerprint.replace(/./, (c) => c === '0' ? '1' : '0') }, given.raw)",
            "fingerprint",
        ),
        ("const raw = given.raw.slice().fill(255, 0, 8); m.phone.keyOf(m.phone.openRing(p), raw)", "residues below"),
        ("m.phone.openKey({ ...p, special: false }, given.raw)", "special prime"),
        ("m.phone.wordsOf(p, [2 ** 43], [0], how)", "whole number from 0"),
        ("m.phone.wordsOf(p, [-1], [0], how)", "whole number from 0"),
        ("m.phone.wordsOf(p, [0.5], [0], how)", "whole number from 0"),
        ("m.phone.wordsOf(p, [1], [1.01], how)", "clip it first"),
        ("m.phone.wordsOf(p, [1], [NaN], how)", "clip it first"),
        ("m.phone.encrypt(m.phone.openKey(p, given.raw), [BigInt(p.plain_modulus)])", "word: expected"),
        ("m.phone.wordsOf(p, Array(5000).fill(1), [0], how)", "exceed one ciphertext"),
    ],
)
def test_a_phone_refuses(js, held, damage, words):
    body = "const p = JSON.parse(given.parameters), how = { bound: 1, max_terms: 40 };"
    with pytest.raises(JavaScriptError, match=words):
        js.run(body + damage, **held("bfv-lean").given)


# -- the bridge -----------------------------------------------------------------------------------------------------------


def test_the_bridge_refuses_what_is_no_ciphertext(js, held):
    world = held(CLASSROOM)
    (raw,) = js.run(ENCRYPT, answers=answers(world.scheme, 1, max_terms=40), **world.given)
    assert world.upload(raw, length=9).terms == 1
    size, row = len(raw), 8 * world.preset.degree
    primes = rlwe.data_primes(world.scheme.ring)
    for at, p in enumerate(primes * 2):
        for bad in (p, 2**64 - 1):
            with pytest.raises(WireError, match="residues below"):
                world.upload(raw[: row * at] + bad.to_bytes(8, "little") + raw[row * at + 8 :], length=9)
        world.upload(raw[: row * at] + (p - 1).to_bytes(8, "little") + raw[row * at + 8 :], length=9)
    for bad in (raw[:-1], raw + b"\0", b"", raw[:-8], raw + raw):
        with pytest.raises(WireError, match="expected 131072 bytes"):
            world.upload(bad, length=9)
    with pytest.raises(WireError, match="c1 is zero"):
        world.upload(raw[: size // 2] + bytes(size // 2), length=9)
    with pytest.raises(WireError, match="blocks"):
        world.upload(raw, length=9, integers=world.preset.degree)
    with pytest.raises(WireError):
        world.upload(raw, length=0)
    with pytest.raises(WireError):
        world.upload(raw, length=9, max_terms=4000)
    with pytest.raises(KeyMismatch):
        world.scheme.check(held("bfv-lean").key, world.upload(raw, length=9))


def test_the_bridge_refuses_partials_and_contributions(held):
    world = held(CLASSROOM)
    total = world.scheme.encrypt(world.key, np.zeros(9), integers=[1, 1, 1], max_terms=40)
    raw = world.scheme.partial_decrypt(world.shares[0], total, (1, 2, 3)).blocks[0]
    assert bridge.partial(raw, world.preset, total, 1, (1, 2, 3)).blocks == (raw,)
    for bad in (raw[:-1], raw + b"\0", b"", b"\xff" * len(raw)):
        with pytest.raises(WireError):
            bridge.partial(bad, world.preset, total, 1, (1, 2, 3))
    nbytes = bridge.contribution_nbytes(world.preset)
    for bad in (bytes(nbytes - 1), bytes(nbytes + 1), b"\xff" * nbytes):
        with pytest.raises(WireError):
            bridge.contribution(bad, world.preset)


@pytest.mark.parametrize("name", ["bfv-lean-seeded", "bfv-compact-2048", "ckks-lean", "paillier-packed", "plaintext"])
def test_presets_that_phones_cannot_use(name):
    with pytest.raises(ParameterError):
        bridge.upload_nbytes(load_preset(name))


def test_the_whole_key_is_no_phones_share(held):
    with pytest.raises(ParameterError, match="held together"):
        bridge.phone_share(held("bfv-lean").shares[0])


def test_parameters_are_canonical_json_with_exact_primes(held):
    world = held("bfv-threshold")
    said = json.loads(world.phone.parameters)
    assert json.dumps(said, sort_keys=True, separators=(",", ":")).encode() == world.phone.parameters
    assert tuple(map(int, said["primes"])) == world.scheme.ring.primes and int(said["plain_modulus"]) % 2
    assert all(int(a) > 2**53 for a in said["primes"][:-1])  # a JSON number would be rounded in JavaScript
    assert said["custody"] == {"holders": 5, "threshold": 3, "dealt": True} and said["min_cohort"] == 4
    assert len(world.phone.raw) == 2 * 3 * 8192 * 8 and said["key_id"] == str(world.key.id)
    before = json.loads(bridge.ring_parameters(world.preset, world.quorum))
    assert {k for k in said if said[k] != before[k]} == {"key_id", "fingerprint", "custody"}
