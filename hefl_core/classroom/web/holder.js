// A share holder's phone: its part of decrypting one sum, the same bytes as Python's partial_decrypt.
//
//   d_i = lambda_i s_i c1 + e_i + z_i
//
// lambda_i  Lagrange's coefficient for this set of holders; any other set needs other answers
// e_i       flooding, uniform on -2^f .. 2^f - 1: it hides the sum's own noise, from which s would follow
// z_i       masks of pairs, which cancel over the whole set: t - 1 others cannot read one answer alone
//
// The same share, set and c1 give the same bytes: fresh flooding would average away when asked again.

import { bigEndian, digest, hex, join, Shake256, text } from "./hash.js";
import { inverseNtt } from "./ntt.js";
import {
  add,
  addConstant,
  equal,
  eightBytes,
  fewBytes,
  fold,
  invert,
  prepareDigits,
  readRows,
  setWord,
  subtract,
  timesRow,
  uniformRow,
  wordOf,
  writeRows,
  zeroElement,
  zeroRow,
} from "./ring.js";

const SEED_BYTES = 32;

// A share from its bytes: a point of Shamir's polynomial as NTT values, then a seed for each holder.
export function openShare(ring, material, index, holders, keyId) {
  const size = ring.degree * ring.data.reduce((sum, prime) => sum + prime.width, 0);
  if (material.length !== size + SEED_BYTES * holders) throw new Error("share: expected another length; ask again");
  const values = readRows(material.subarray(0, size), ring.degree, ring.data, fewBytes, "share");
  const point = values.map((row, l) => inverseNtt(row, ring.data[l]));
  const seeds = Array.from({ length: holders }, (_, j) =>
    material.slice(size + SEED_BYTES * j).subarray(0, SEED_BYTES),
  );
  return { ring, material, index, holders, keyId, point, seeds };
}

// This holder's answer for the sum with this c1 (raw bytes) and the holders `members`, in ascending order.
export function partialDecrypt(share, c1Bytes, members, floodBits) {
  const { ring, index, keyId } = share,
    { data, fourier } = ring;
  if (!members.includes(index)) throw new Error(`holder ${index}: not one of ${members}; it does not answer`);
  const c1 = readRows(c1Bytes, ring.degree, data, eightBytes, "sum");
  if (c1.every((row) => row.low.every((x) => x === 0) && row.high.every((x) => x === 0))) {
    throw new Error("sum: c1 is zero, so that nothing is encrypted; nothing is opened");
  }
  const maskDigest = digest(text("hefl/c1"), c1Bytes);
  const streamKey = digest(text("hefl/flooding"), share.material, packed(keyId, index, members));
  const noise = flooding(ring, new Shake256(streamKey, maskDigest), floodBits);
  const label = digest(packed(keyId), maskDigest);
  const answer = data.map((prime, l) => {
    const scaled = scale(share.point[l], lagrange(members, index, prime.value), prime);
    const prepared = prepareDigits(fourier, scaled, prime);
    const row = timesRow(fourier, prepared, prepareDigits(fourier, c1[l], prime), prime);
    return add(row, noise[l], prime);
  });
  addPairMasks(answer, share, members, label);
  return writeRows(answer, data, fewBytes);
}

export function lagrange(members, index, p) {
  let above = 1n,
    below = 1n;
  for (const other of members.filter((one) => one !== index)) {
    above = (above * BigInt(other)) % p;
    below = (below * (BigInt(other - index) + p)) % p;
  }
  return (above * invert(below, p)) % p;
}

function scale(row, factor, prime) {
  const out = zeroRow(row.high.length);
  for (let j = 0; j < row.high.length; j++) setWord(out, j, (wordOf(row, j) * factor) % prime.value);
  return out;
}

// Numbers of f + 1 bits from words of 60 bits, the lowest limb of all coefficients first, minus 2^f.
function flooding({ degree, data }, stream, bits) {
  const limbs = Math.ceil((bits + 1) / 60),
    bytes = stream.read(8 * degree * limbs),
    view = new DataView(bytes.buffer);
  const parts = Array.from({ length: 4 * limbs }, () => new Float64Array(degree)); // digits of 15 bits
  for (let limb = 0; limb < limbs; limb++) {
    const width = Math.min(60, bits + 1 - 60 * limb);
    for (let j = 0; j < degree; j++) {
      let word = view.getBigUint64(8 * (limb * degree + j), true) & ((1n << BigInt(width)) - 1n);
      for (let k = 0; k < 4; k++, word >>= 15n) parts[4 * limb + k][j] = Number(word & 0x7fffn);
    }
  }
  return data.map((prime) => {
    const row = fold(parts, 15, prime);
    addConstant(row, prime.value - (2n ** BigInt(bits) % prime.value), prime);
    return row;
  });
}

// Every two holders of the set share a seed; the lower one adds what the higher one subtracts.
function addPairMasks(answer, { ring, seeds, index }, members, label) {
  for (const other of members.filter((one) => one !== index)) {
    const seed = digest(text("hefl/pair/mask"), seeds[other - 1], packed(members), label);
    ring.data.forEach((prime, l) => {
      const both = expandRow(seed, ring.degree, prime);
      (index < other ? add : subtract)(answer[l], both, prime);
    });
  }
}

// Uniform residues that everybody with the seed derives alike.
export function expandRow(seed, degree, prime) {
  const stream = new Shake256(text("hefl/uniform"), bigEndian(prime.value), bigEndian(degree), seed);
  return uniformRow(degree, prime, (count) => stream.read(count));
}

// MessagePack, as far as a holder needs it: one thing, or a list of things. Small numbers, short texts, short lists.
export const packed = (...things) =>
  things.length === 1 ? one(things[0]) : join([Uint8Array.of(0x90 + things.length), ...things.map(one)]);

function one(thing) {
  if (typeof thing === "number") return Uint8Array.of(thing);
  if (typeof thing === "string") return join([Uint8Array.of(0xd9, thing.length), text(thing)]);
  return join([Uint8Array.of(0x90 + thing.length), ...thing.map(one)]);
}

// -- what a holder refuses

// It answers only for a sum that holds its own ciphertext and enough others. Its own ciphertext is opened in one sum
// for one set of holders, ever: a second set would give the share away. One topic (a question, a round of training) is
// opened for one list of members: two sums that differ by one student would show that student's answer.
//
// Its memory lives as long as the share does: both are lost with the tab, and then t others open.
export class Holder {
  #answered = new Map(); // for each own ciphertext, and for each topic, what was answered

  constructor(share, parameters) {
    this.share = share;
    this.parameters = parameters;
  }

  // Before the owner is asked: throws with the reason when this sum must stay closed, whatever the owner says.
  // `own`: { topic, name } of what this phone sent; the name is `nameOf` its c1.
  examine({ terms, members }, c1Bytes, addends, own) {
    if (members.length !== terms)
      throw new Error(`sum: ${members.length} members for ${terms} answers; it stays closed`);
    this.#checkAddends(terms, c1Bytes, addends, own);
    this.#checkMemory(this.#entries(null, members, c1Bytes, own).slice(1));
  }

  // Check everything, remember, then answer for the set `active`.
  answer(opening, c1Bytes, addends, own) {
    this.examine(opening, c1Bytes, addends, own);
    this.#checkSet(opening.active);
    const entries = this.#entries(opening.active, opening.members, c1Bytes, own);
    this.#checkMemory(entries);
    for (const [name, entry] of entries) this.#answered.set(name, entry);
    return partialDecrypt(this.share, c1Bytes, opening.active, this.parameters.flood);
  }

  #checkMemory(entries) {
    for (const [name, entry] of entries) {
      if ((this.#answered.get(name) ?? entry) !== entry) {
        throw new Error("sum: my answer was opened in another sum or for another set already; it stays closed");
      }
    }
  }

  #entries = (active, members, c1Bytes, own) => [
    [own.name, `${nameOf(c1Bytes)} ${active}`],
    [
      own.topic,
      members
        .map(({ seat }) => seat)
        .sort((a, b) => a - b)
        .join(),
    ],
  ];

  #checkSet(active) {
    const { threshold, holders } = this.parameters.custody,
      { index } = this.share;
    const ascending = active.every((one, at) => one >= 1 && one <= holders && (at === 0 || active[at - 1] < one));
    if (active.length !== threshold || !ascending || !active.includes(index)) {
      throw new Error(
        `set: expected ${threshold} of ${holders} holders in ascending order with ${index}, found ${active}`,
      );
    }
  }

  #checkAddends(announced, c1Bytes, addends, own) {
    const { ring } = this.share,
      { min_cohort } = this.parameters,
      size = c1Bytes.length;
    const terms = addends.length / size;
    if (terms !== announced || terms < min_cohort) {
      throw new Error(`sum: expected at least ${min_cohort} answers, found ${terms}; it stays closed`);
    }
    const each = Array.from({ length: terms }, (_, k) => addends.subarray(size * k, size * (k + 1)));
    if (!own || !each.some((bytes) => nameOf(bytes) === own.name)) {
      throw new Error("sum: my own answer is not in it; it stays closed");
    }
    if (new Set(each.map(nameOf)).size !== terms) throw new Error("sum: one answer is in it twice; it stays closed");
    const total = zeroElement(ring.degree, ring.data);
    const read = (bytes) => readRows(bytes, ring.degree, ring.data, eightBytes, "sum");
    for (const bytes of each) read(bytes).forEach((row, l) => add(total[l], row, ring.data[l]));
    if (!equal(total, read(c1Bytes))) throw new Error("sum: it is not the sum of these answers; it stays closed");
  }
}

export const nameOf = (bytes) => hex(digest(bytes));
