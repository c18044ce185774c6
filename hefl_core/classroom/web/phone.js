// A student's phone: open the class's public key, write numbers as words, encrypt them. BFV, as SEAL and Python do it.
//
//   key         (b, a) with b = e - a s: whoever knows s can decrypt
//   ciphertext  c0 = b u + e0 + m q/t,  c1 = a u + e1: fresh small u, e0, e1 for every ciphertext
//
// Everything that a phone encrypts goes through `encrypt` at the end of this file.

import { hex, sha256 } from "./hash.js";
import {
  addSmall,
  eightBytes,
  errors,
  Fourier,
  openPrime,
  prepareLarge,
  readRows,
  secureRandom,
  setWord,
  add,
  switchDown,
  ternary,
  timesSmall,
  writeRows,
  zeroRow,
} from "./ring.js";

// The ring of a preset, from the JSON that the class serves at /parameters.
export function openRing(parameters) {
  const primes = parameters.primes.map(openPrime);
  if (!parameters.special || primes.length < 2) {
    throw new Error("preset: expected a special prime, found none; fresh noise would be 16 times larger");
  }
  const data = primes.slice(0, -1);
  return {
    degree: parameters.degree,
    primes,
    data, // data: the primes of a ciphertext, all but the special one
    q: data.reduce((product, prime) => product * prime.value, 1n),
    t: BigInt(parameters.plain_modulus),
    fourier: new Fourier(parameters.degree),
  };
}

// The public key from its raw bytes. Refuses bytes whose SHA-256 is not the announced one.
export function openKey(parameters, raw) {
  const found = hex(sha256(raw));
  if (found !== parameters.fingerprint) {
    throw new Error(`key: expected the fingerprint ${parameters.fingerprint}, found ${found}; tell your teacher`);
  }
  return { ...keyOf(openRing(parameters), raw), id: parameters.key_id, fingerprint: found, parameters };
}

export function keyOf(ring, raw) {
  const half = raw.length / 2;
  const b = readRows(raw.subarray(0, half), ring.degree, ring.primes, eightBytes, "key");
  const a = readRows(raw.subarray(half), ring.degree, ring.primes, eightBytes, "key");
  return keyFrom(ring, b, a);
}

export function keyFrom(ring, b, a) {
  const prepare = (element) => element.map((row, l) => prepareLarge(ring.fourier, row, ring.primes[l]));
  return { ring, b: prepare(b), a: prepare(a), rows: { b, a } };
}

// -- numbers as words

// Exact whole numbers first, one word each; then values as fixed-point fields, several in a word.
export function wordsOf(parameters, integers, values, { bound, max_terms }) {
  const t = BigInt(parameters.plain_modulus),
    room = Number((t - 1n) / BigInt(max_terms));
  for (const number of integers) {
    if (!Number.isInteger(number) || number < 0 || number > room) {
      throw new Error(`answer: expected a whole number from 0 to ${room}, found ${number}`);
    }
  }
  const packed = pack(quantise(parameters, values, bound, max_terms), parameters);
  const words = [...integers.map(BigInt), ...packed];
  if (words.length > parameters.degree) throw new Error(`answer: ${words.length} words exceed one ciphertext`);
  return words;
}

// How one field is cut: `max_terms` of them add up without spilling into the next.
export function fieldOf(parameters, max_terms) {
  const full = parameters.fields * parameters.field_bits === BigInt(parameters.plain_modulus).toString(2).length;
  const terms = full ? Math.max(max_terms, 2) : max_terms;
  const valueBits = parameters.field_bits - (terms - 1).toString(2).replace(/^0$/, "").length;
  const offset = 2 ** (valueBits - 1);
  return { offset, step: (bound) => bound / (offset - 1) };
}

function quantise(parameters, values, bound, max_terms) {
  const { offset, step } = fieldOf(parameters, max_terms),
    factor = 1 / step(bound);
  return values.map((value) => {
    if (!(Math.abs(value) <= bound)) throw new Error(`value: expected at most ${bound}, found ${value}; clip it first`);
    const field = Math.min(Math.max(nearest(value * factor), 1 - offset), offset - 1);
    return BigInt(field + offset);
  });
}

// To the nearest whole number, halves to the even one, as NumPy does.
function nearest(x) {
  const below = Math.floor(x),
    rest = x - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
}

function pack(fields, { fields: perWord, field_bits }) {
  const words = [];
  for (let at = 0; at < fields.length; at += perWord) {
    words.push(fields.slice(at, at + perWord).reduceRight((word, field) => (word << BigInt(field_bits)) | field, 0n));
  }
  return words;
}

// -- encryption

// A fresh ciphertext [c0, c1] of these words (BigInt below t, at most N of them).
export function encrypt(key, words, random = secureRandom) {
  const { ring } = key,
    { degree, primes, data, fourier } = ring;
  const u = fourier.forward(ternary(degree, random));
  const polynomial = (prepared) => {
    // ONE error polynomial for all primes.
    const e = errors(degree, random);
    const element = prepared.map((row, l) => timesSmall(fourier, row, u, primes[l]));
    addSmall(element, e, primes);
    return switchDown(element, primes);
  };
  const c0 = polynomial(key.b),
    c1 = polynomial(key.a);
  scaledUp(ring, words).forEach((row, l) => add(c0[l], row, data[l]));
  return [c0, c1];
}

// The message round(m q / t): the word sits at the top of the residue, the noise at its bottom.
function scaledUp({ degree, data, q, t }, words) {
  const rows = data.map(() => zeroRow(degree));
  words.forEach((word, j) => {
    if (word < 0n || word >= t) throw new Error(`word: expected 0 to ${t - 1n}, found ${word}`);
    const scaled = (word * q + t / 2n) / t;
    rows.forEach((row, l) => setWord(row, j, scaled % data[l].value));
  });
  return rows;
}

// What travels: c0 rows, then c1 rows, as little-endian words of 8 bytes.
export const uploadOf = (ring, [c0, c1]) => writeRows([...c0, ...c1], [...ring.data, ...ring.data], eightBytes);

export const maskOf = (ring, upload) => upload.subarray(upload.length / 2); // c1 of an upload, or of a sum
