// A key that nobody ever holds: n phones make it, t of them open sums. The teacher's computer only carries messages.
//
//   a            everybody derives it from the class's seed, so that nobody can choose it
//   commit       the digest of b_i goes out first; b_i follows when all commitments are there: nobody can choose the
//                last b_i to fit the others, and a server in the middle has to bet on the fingerprint before it sees it
//   contribute   b_i = e_i - a s_i; the class's key is (sum of the b_i, a), its secret s_1 + ... + s_n is in no place
//   deal         Shamir: f_i(j) goes to phone j, f_i(0) = s_i; phone j's share is the sum of what it got
//
// (b_i, a) is phone i's own public key as well: what is dealt to it is sealed under that key, so that the computer
// which carries it reads nothing. Compare the short fingerprint aloud: else that computer could sit in the middle.

import { digest, hex, join, same, Shake256, text } from "./hash.js";
import { expandRow } from "./holder.js";
import { inverseNtt, ntt } from "./ntt.js";
import { encrypt, keyFrom, keyOf } from "./phone.js";
import {
  add,
  addSmall,
  eightBytes,
  equal,
  errors,
  fewBytes,
  invert,
  multiplyAdd,
  prepareLarge,
  readRows,
  secureRandom,
  subtract,
  ternary,
  timesSmall,
  uniformRow,
  wordOf,
  writeRows,
  zeroElement,
} from "./ring.js";

const SEED_BYTES = 32,
  TAG_BYTES = 32,
  SECRET_WORDS = 16;

// -- contributions

export const commonPolynomial = (ring, seed) =>
  ring.primes.map((prime) => inverseNtt(expandRow(join([text("hefl/joint/a"), seed]), ring.degree, prime), prime));

// A fresh secret s_i (stays on this phone) and b_i = e_i - a s_i, as the bytes that everybody gets.
export function contribute(ring, a, random = secureRandom) {
  const secret = ternary(ring.degree, random),
    s = ring.fourier.forward(secret);
  const b = zeroElement(ring.degree, ring.primes);
  addSmall(b, errors(ring.degree, random), ring.primes);
  ring.primes.forEach((prime, l) => {
    subtract(b[l], timesSmall(ring.fourier, prepareLarge(ring.fourier, a[l], prime), s, prime), prime);
  });
  return { secret, bytes: writeRows(b, ring.primes, eightBytes) };
}

export const commitmentOf = (bytes) => digest(text("hefl/class/commitment"), bytes);

// All contributions, cut apart and compared with what was committed to. `mine`: the bytes that this phone sent.
export function openContributions(all, commitments, index, mine) {
  const size = mine.length,
    count = all.length / size;
  if (commitments.length !== 32 * count) throw new Error("ceremony: a contribution is missing; start again");
  const parts = Array.from({ length: count }, (_, k) => all.subarray(size * k, size * (k + 1)));
  parts.forEach((part, k) => {
    if (!same(commitmentOf(part), commitments.subarray(32 * k, 32 * (k + 1)))) {
      throw new Error(`ceremony: phone ${k + 1} sent another contribution than it had committed to; start again`);
    }
  });
  if (!same(parts[index - 1], mine)) throw new Error("ceremony: my own contribution was replaced; start again");
  if (new Set(parts.map((part) => hex(digest(part)))).size !== count) {
    throw new Error("ceremony: two contributions are the same; start again");
  }
  return parts;
}

// Eight digits to read aloud: equal on all phones exactly if all saw the same seed and contributions.
export function shortFingerprint(seed, parts) {
  const number = BigInt(`0x${hex(digest(text("hefl/class/aloud"), seed, ...parts)).slice(0, 16)}`) % 100_000_000n;
  const digits = number.toString().padStart(8, "0");
  return `${digits.slice(0, 4)} ${digits.slice(4)}`;
}

// The class's key must be (sum of the contributions, a) and nothing else.
export function checkKey(ring, raw, parts, a) {
  const { rows } = keyOf(ring, raw),
    total = zeroElement(ring.degree, ring.primes);
  for (const part of parts) {
    readRows(part, ring.degree, ring.primes, eightBytes, "contribution").forEach((row, l) =>
      add(total[l], row, ring.primes[l]),
    );
  }
  if (!equal(total, rows.b) || !equal(a, rows.a)) {
    throw new Error("ceremony: the class's key is not the sum of the contributions; do not answer with it");
  }
}

// -- dealing

// For each holder a point of this phone's polynomial, as NTT values, and half of a pair seed; for itself all halves.
export function deal(ring, secret, { threshold, holders }, index, random = secureRandom) {
  const element = zeroElement(ring.degree, ring.data);
  addSmall(element, secret, ring.data);
  const values = element.map((row, l) => ntt(row, ring.data[l]));
  // Uniform coefficients make any t - 1 points independent of the secret.
  const higher = Array.from({ length: threshold - 1 }, () =>
    ring.data.map((prime) => uniformRow(ring.degree, prime, random)),
  );
  const halves = Array.from({ length: holders }, (_, j) =>
    j + 1 === index ? new Uint8Array(SEED_BYTES) : random(SEED_BYTES),
  );
  return halves.map((half, j) => {
    const point = evaluate([values, ...higher], j + 1, ring);
    return join([writeRows(point, ring.data, fewBytes), j + 1 === index ? join(halves) : half]);
  });
}

// f(x) by Horner's rule.
function evaluate(coefficients, x, ring) {
  return ring.data.map((prime, l) => {
    const top = coefficients.at(-1)[l],
      row = { high: top.high.slice(), low: top.low.slice() };
    for (const coefficient of coefficients.slice(0, -1).reverse()) {
      multiplyAdd(row, x, null, prime);
      add(row, coefficient[l], prime);
    }
    return row;
  });
}

// This phone's share from all that was dealt to it, in the holders' order: the bytes that `openShare` reads.
export function shareOf(ring, dealt, index) {
  const size = ring.degree * ring.data.reduce((sum, prime) => sum + prime.width, 0);
  const total = zeroElement(ring.degree, ring.data);
  dealt.forEach((bytes, k) => {
    const expected = size + SEED_BYTES * (k + 1 === index ? dealt.length : 1);
    if (bytes.length !== expected) throw new Error(`ceremony: phone ${k + 1} dealt another length; start again`);
    readRows(bytes.subarray(0, size), ring.degree, ring.data, fewBytes, "dealt share").forEach((row, l) =>
      add(total[l], row, ring.data[l]),
    );
  });
  const sent = dealt[index - 1].subarray(size);
  const seeds = dealt.map((bytes, k) => {
    const mine = sent.subarray(SEED_BYTES * k, SEED_BYTES * (k + 1)),
      theirs = bytes.subarray(size);
    if (k + 1 === index) return new Uint8Array(SEED_BYTES);
    // Both ends hash the same bytes: the lower holder's half comes first.
    return digest(text("hefl/pair"), ...(index < k + 1 ? [mine, theirs] : [theirs, mine]));
  });
  return join([writeRows(total, ring.data, fewBytes), ...seeds]);
}

// -- sealing

// What a seal is for: another class, sender or recipient makes another context, under which it does not open.
export const contextOf = (seed, parts, sender, recipient) =>
  digest(text("hefl/class/seal"), seed, ...parts, Uint8Array.of(sender, recipient));

// Seal bytes to the phone whose contribution this is: 32 secret bytes under its key, and SHAKE-256 of them as a stream
// and as a tag. The randomness of the encryption comes from the secret, so that the recipient can make it again.
export function seal(ring, contribution, a, bytes, context, random = secureRandom) {
  const secret = random(SEED_BYTES),
    head = encapsulate(recipientKey(ring, contribution, a), secret, context);
  const hidden = mixed(bytes, secret, context);
  return join([head, hidden, tagOf(secret, context, head, hidden)]);
}

// Open what was sealed to this phone. Refuses anything that was altered, whatever bit.
export function unseal(ring, own, a, sealed, context) {
  const rows = ring.data.length,
    headBytes = 8 * rows * (ring.degree + SECRET_WORDS);
  const head = sealed.subarray(0, headBytes);
  const hidden = sealed.subarray(headBytes, sealed.length - TAG_BYTES),
    tag = sealed.subarray(sealed.length - TAG_BYTES);
  const secret = decapsulate(ring, own.secret, head);
  // Encrypting again and comparing closes the door to altered ciphertexts, whose fate would tell about s_i.
  const honest = same(encapsulate(recipientKey(ring, own.bytes, a), secret, context), head);
  if (!honest || !same(tagOf(secret, context, head, hidden), tag)) {
    throw new Error("sealed share: it was altered, or is not for this phone; start the ceremony again");
  }
  return mixed(hidden, secret, context);
}

const recipientKey = (ring, contribution, a) =>
  keyFrom(ring, readRows(contribution, ring.degree, ring.primes, eightBytes, "contribution"), a);

function encapsulate(key, secret, context) {
  const stream = new Shake256(text("hefl/class/seal/coins"), secret, context);
  const words = Array.from({ length: SECRET_WORDS }, (_, j) => BigInt(secret[2 * j] + 256 * secret[2 * j + 1]));
  const [c0, c1] = encrypt(key, words, (count) => stream.read(count));
  const cut = c0.map((row) => ({ high: row.high.subarray(0, SECRET_WORDS), low: row.low.subarray(0, SECRET_WORDS) }));
  return join([writeRows(c1, key.ring.data, eightBytes), writeRows(cut, key.ring.data, eightBytes)]);
}

// The words m of c0 + c1 s = m q/t + noise, by rounding; only as many coefficients as carry the secret.
function decapsulate(ring, s, head) {
  const { data, fourier, degree, q, t } = ring,
    size = 8 * data.length * degree;
  const c1 = readRows(head.subarray(0, size), degree, data, eightBytes, "sealed share");
  const c0 = readRows(head.subarray(size), SECRET_WORDS, data, eightBytes, "sealed share");
  const small = fourier.forward(s);
  const products = c1.map((row, l) => timesSmall(fourier, prepareLarge(fourier, row, data[l]), small, data[l]));
  const out = new Uint8Array(2 * SECRET_WORDS);
  for (let j = 0; j < SECRET_WORDS; j++) {
    // Chinese remainders: the one number below q with these residues.
    const whole =
      data.reduce((sum, prime, l) => {
        const rest = q / prime.value,
          word = (wordOf(products[l], j) + wordOf(c0[l], j)) % prime.value;
        return sum + word * rest * invert(rest, prime.value);
      }, 0n) % q;
    const word = Number((((whole * t + q / 2n) / q) % t) & 0xffffn);
    out[2 * j] = word & 255;
    out[2 * j + 1] = word >> 8;
  }
  return out;
}

function mixed(bytes, secret, context) {
  const stream = new Shake256(text("hefl/class/seal/stream"), secret, context).read(bytes.length);
  return bytes.map((byte, at) => byte ^ stream[at]);
}

const tagOf = (secret, context, head, hidden) =>
  new Shake256(text("hefl/class/seal/tag"), secret, context, head, hidden).read(TAG_BYTES);
