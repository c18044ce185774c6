// Sums added again from the ciphertexts, with the public key alone. No library: BFV and CKKS add residues modulo their primes,
// Paillier multiplies modulo n squared, and the plaintext control adds floats (Python: schemes/ring/blocks.py, paillier/keys.py).

import { same } from "./hash.js";
import { spellKey } from "./messages.js";
import { bytes, expect, struct, unpack } from "./shapes.js";

// A running sum for this key, null where this page cannot add: SEAL's compressed and seeded forms, and one-time keys.
export function openSum(terms, key) {
  const form = { residues: Residues, paillier: Product, plain: Floats }[terms.form];
  return form ? new Running(terms, key, new form(terms, key)) : null;
}

export const canAdd = (terms) => terms.form !== null;

const shapeOf = (v) => [v.length, v.integers, v.tagged, v.bound, v.max_terms, v.blocks.length].join();

class Running {
  constructor(terms, key, form) {
    this.terms = terms;
    this.key = key;
    this.form = form;
    this.sum = null;
  }

  // What can be checked without a secret: the key, the label, and every block. Gives the opened blocks.
  read(vector) {
    const { terms } = this;
    expect(spellKey(vector.key_id) === spellKey(this.key.id), "expected ciphertexts of the epoch's key, found one of another");
    expect(vector.key_id.scheme === this.key.id.scheme, "expected ciphertexts of the epoch's key, found one of another");
    const bound = vector.bound === null || (Number.isFinite(vector.bound) && vector.bound > 0);
    const counts = vector.length >= 1 && vector.integers >= 0 && 1 <= vector.terms && vector.terms <= vector.max_terms;
    expect(bound && counts && vector.max_terms <= terms.max_terms, "ciphertext vector: its label contradicts itself");
    expect(vector.blocks.length === terms.blocks, `expected ${terms.blocks} blocks, found ${vector.blocks.length}`);
    expect(terms.tagged || !vector.tagged, "expected no tag under this preset");
    return this.form.read(vector);
  }

  add(vector) {
    const opened = this.read(vector);
    if (this.sum === null) {
      this.sum = { ...vector };
      this.opened = opened;
      return;
    }
    expect(shapeOf(this.sum) === shapeOf(vector), "add: expected equal shapes, found others");
    expect(this.sum.terms + vector.terms <= vector.max_terms, "add: more terms than there is head-room for");
    this.opened = this.form.plus(this.opened, opened);
    this.sum = { ...this.sum, terms: this.sum.terms + vector.terms };
  }

  total() {
    return { ...this.sum, blocks: this.form.write(this.opened) };
  }
}

// -- BFV and CKKS: two polynomials in a block, each coefficient a residue modulo each prime, 8 bytes with the lowest first

class Residues {
  constructor({ degree, primes, prefix }) {
    this.degree = degree;
    this.primes = primes.map(BigInt);
    this.prefix = prefix;
    this.words = 2 * primes.length * degree;
  }

  read({ blocks }) {
    return blocks.map((block, at) => {
      const where = `block ${at + 1}`,
        start = this.prefix.length;
      const whole = block.length === start + 8 * this.words && same(block.subarray(0, start), this.prefix);
      expect(whole, `${where}: expected this preset's header and ${start + 8 * this.words} bytes, found others`);
      const words = new BigUint64Array(block.slice(start).buffer);
      this.eachRow((prime, row, end) => {
        for (let j = row; j < end; j++) expect(words[j] < prime, `${where}: expected residues below their primes, found a larger one`);
      });
      const hidden = words.subarray(this.words / 2).some((word) => word !== 0n);
      expect(hidden, `${where}: c1 is zero, so that nothing is encrypted`);
      return words;
    });
  }

  // Calls with each prime and the range of words modulo it: c0's rows, then c1's.
  eachRow(visit) {
    for (let row = 0; row < 2 * this.primes.length; row++) {
      visit(this.primes[row % this.primes.length], row * this.degree, (row + 1) * this.degree);
    }
  }

  plus(sum, more) {
    sum.forEach((words, at) => {
      const other = more[at];
      this.eachRow((prime, row, end) => {
        for (let j = row; j < end; j++) {
          const added = words[j] + other[j];
          words[j] = added >= prime ? added - prime : added;
        }
      });
    });
    return sum;
  }

  write(sum) {
    return sum.map((words) => {
      const block = new Uint8Array(this.prefix.length + words.byteLength);
      block.set(this.prefix);
      block.set(new Uint8Array(words.buffer), this.prefix.length);
      return block;
    });
  }
}

// -- Paillier: numbers modulo n squared, the highest byte first; adding plaintexts is multiplying ciphertexts

const PublicMaterial = struct({ modulus: bytes, base: bytes });

class Product {
  constructor({ modulus_bits }, key) {
    const { modulus } = unpack(PublicMaterial, key.material);
    this.n = bigOf(modulus);
    this.square = this.n * this.n;
    this.size = Math.ceil((2 * modulus_bits) / 8);
    expect(this.n.toString(2).length === modulus_bits, `expected a modulus of ${modulus_bits} bits, found another`);
  }

  read({ blocks }) {
    let product = 1n;
    const numbers = blocks.map((block, at) => {
      expect(block.length === this.size, `block ${at + 1}: expected ${this.size} bytes, found ${block.length}`);
      const value = bigOf(block),
        residue = value % this.n;
      expect(value < this.square && residue >= 2n, `block ${at + 1}: expected a masked unit modulo n squared, found another`);
      product = (product * residue) % this.n;
      return value;
    });
    expect(commonDivisor(product, this.n) === 1n, "blocks: expected units modulo n squared, found a divisor of n");
    return numbers;
  }

  plus(sum, more) {
    return sum.map((number, at) => (number * more[at]) % this.square);
  }

  write(sum) {
    return sum.map((number) => {
      const digits = number.toString(16).padStart(2 * this.size, "0");
      return Uint8Array.from(digits.match(/../g), (pair) => parseInt(pair, 16));
    });
  }
}

const bigOf = (raw) => BigInt(`0x${Array.from(raw, (byte) => byte.toString(16).padStart(2, "0")).join("") || "0"}`);

function commonDivisor(a, b) {
  while (b) [a, b] = [b, a % b];
  return a;
}

// -- no encryption: whole numbers of 64 bits, and entries as float32 (of one client) or float64 (of a sum)

class Floats {
  read({ blocks, terms, integers, length }) {
    const width = terms === 1 ? 4 : 8; // a sum of one term keeps its float32: cohorts have two members or more
    const fits = blocks[0].length === 8 * integers && blocks[1].length === width * length;
    expect(fits, "plaintext: expected blocks of other sizes");
    const raw = blocks[1].slice().buffer;
    const values = Float64Array.from(width === 4 ? new Float32Array(raw) : new Float64Array(raw));
    expect(values.every(Number.isFinite), "plaintext: expected finite numbers, found others");
    return [new BigInt64Array(blocks[0].slice().buffer), values];
  }

  plus([counts, values], [otherCounts, otherValues]) {
    return [counts.map((count, at) => count + otherCounts[at]), values.map((value, at) => value + otherValues[at])];
  }

  write(sum) {
    return sum.map((part) => new Uint8Array(part.buffer));
  }
}
