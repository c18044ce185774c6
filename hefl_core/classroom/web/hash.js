// SHA-256 and SHAKE-256. A page over plain http has no crypto.subtle, so both are here (FIPS 180-4, FIPS 202).

// -- SHA-256

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
const CUBE_ROOTS = new Uint32Array([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
  0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
  0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
  0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
  0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
  0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
  0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
  0xc67178f2,
]);
const START = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

const right = (x, n) => (x >>> n) | (x << (32 - n));

export function sha256(bytes) {
  // Padding: one bit 1, zeros, and the length in bits as 64 bits.
  const padded = new Uint8Array(((bytes.length + 72) >> 6) << 6);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(padded.length - 4, bytes.length << 3);
  const state = Int32Array.from(START);
  for (let start = 0; start < padded.length; start += 64) compress(state, view, start);
  const out = new Uint8Array(32);
  state.forEach((word, at) => new DataView(out.buffer).setUint32(4 * at, word));
  return out;
}

const schedule = new Int32Array(64);

function compress(state, view, start) {
  for (let i = 0; i < 16; i++) schedule[i] = view.getInt32(start + 4 * i);
  for (let i = 16; i < 64; i++) {
    const x = schedule[i - 15],
      y = schedule[i - 2];
    const s0 = right(x, 7) ^ right(x, 18) ^ (x >>> 3);
    const s1 = right(y, 17) ^ right(y, 19) ^ (y >>> 10);
    schedule[i] = schedule[i - 16] + s0 + schedule[i - 7] + s1;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const s1 = right(e, 6) ^ right(e, 11) ^ right(e, 25);
    const one = (h + s1 + ((e & f) ^ (~e & g)) + CUBE_ROOTS[i] + schedule[i]) | 0;
    const s0 = right(a, 2) ^ right(a, 13) ^ right(a, 22);
    const two = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + one) | 0;
    d = c;
    c = b;
    b = a;
    a = (one + two) | 0;
  }
  [a, b, c, d, e, f, g, h].forEach((word, at) => (state[at] += word));
}

// SHA-256 over parts, each after its length as 8 bytes: no two lists of parts give one text.
export function digest(...parts) {
  return sha256(join(parts.flatMap((part) => [bigEndian(part.length), part])));
}

// -- SHAKE-256

const RATE = 136; // bytes of the state that are read or written between two permutations

// Lanes of 64 bits are kept as two halves of 32. ROTATE and MOVE follow rho and pi, constants follow iota.
const ROTATE = [1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44];
const MOVE = [10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1];
const [IOTA_LOW, IOTA_HIGH] = roundConstants();

function roundConstants() {
  // A shift register over x^8 + x^6 + x^5 + x^4 + 1 gives one bit for each place 2^j - 1.
  const low = new Int32Array(24),
    high = new Int32Array(24);
  let register = 1;
  for (let round = 0; round < 24; round++) {
    for (let j = 0; j < 7; j++) {
      const place = (1 << j) - 1;
      if (register & 1) place < 32 ? (low[round] ^= 1 << place) : (high[round] ^= 1 << (place - 32));
      register = register & 0x80 ? ((register << 1) ^ 0x171) & 0xff : register << 1;
    }
  }
  return [low, high];
}

const columnLow = new Int32Array(5),
  columnHigh = new Int32Array(5);

function permute(low, high) {
  for (let round = 0; round < 24; round++) {
    for (let x = 0; x < 5; x++) {
      // theta: each column's parity
      columnLow[x] = low[x] ^ low[x + 5] ^ low[x + 10] ^ low[x + 15] ^ low[x + 20];
      columnHigh[x] = high[x] ^ high[x + 5] ^ high[x + 10] ^ high[x + 15] ^ high[x + 20];
    }
    for (let x = 0; x < 5; x++) {
      const l = columnLow[(x + 1) % 5],
        h = columnHigh[(x + 1) % 5],
        before = (x + 4) % 5;
      const addLow = columnLow[before] ^ ((l << 1) | (h >>> 31));
      const addHigh = columnHigh[before] ^ ((h << 1) | (l >>> 31));
      for (let y = x; y < 25; y += 5) {
        low[y] ^= addLow;
        high[y] ^= addHigh;
      }
    }
    let carriedLow = low[1],
      carriedHigh = high[1];
    for (let i = 0; i < 24; i++) {
      // rho and pi: rotate each lane and move it
      const to = MOVE[i],
        n = ROTATE[i] & 31,
        keptLow = low[to],
        keptHigh = high[to];
      if (ROTATE[i] & 32) [carriedLow, carriedHigh] = [carriedHigh, carriedLow];
      low[to] = n ? (carriedLow << n) | (carriedHigh >>> (32 - n)) : carriedLow;
      high[to] = n ? (carriedHigh << n) | (carriedLow >>> (32 - n)) : carriedHigh;
      carriedLow = keptLow;
      carriedHigh = keptHigh;
    }
    for (let y = 0; y < 25; y += 5) {
      chi(low, y);
      chi(high, y);
    }
    low[0] ^= IOTA_LOW[round];
    high[0] ^= IOTA_HIGH[round];
  }
}

function chi(half, y) {
  const a = half[y],
    b = half[y + 1],
    c = half[y + 2],
    d = half[y + 3],
    e = half[y + 4];
  half[y] = a ^ (~b & c);
  half[y + 1] = b ^ (~c & d);
  half[y + 2] = c ^ (~d & e);
  half[y + 3] = d ^ (~e & a);
  half[y + 4] = e ^ (~a & b);
}

// An endless stream of bytes that the given parts, one after the other, determine.
export class Shake256 {
  constructor(...parts) {
    this.low = new Int32Array(25);
    this.high = new Int32Array(25);
    this.block = new Uint8Array(RATE);
    this.used = RATE;
    const text = join(parts);
    const padded = new Uint8Array((Math.floor(text.length / RATE) + 1) * RATE);
    padded.set(text);
    padded[text.length] ^= 0x1f;
    padded[padded.length - 1] ^= 0x80;
    for (let start = 0; start < padded.length; start += RATE) this.#absorb(new DataView(padded.buffer, start, RATE));
  }

  #absorb(view) {
    for (let lane = 0; lane < RATE / 8; lane++) {
      this.low[lane] ^= view.getInt32(8 * lane, true);
      this.high[lane] ^= view.getInt32(8 * lane + 4, true);
    }
    permute(this.low, this.high);
    this.fresh = true;
  }

  read(count) {
    const out = new Uint8Array(count);
    for (let done = 0; done < count;) {
      if (this.used === RATE) this.#refill();
      const step = Math.min(count - done, RATE - this.used);
      out.set(this.block.subarray(this.used, this.used + step), done);
      this.used += step;
      done += step;
    }
    return out;
  }

  #refill() {
    if (!this.fresh) permute(this.low, this.high);
    this.fresh = false;
    const view = new DataView(this.block.buffer);
    for (let lane = 0; lane < RATE / 8; lane++) {
      view.setInt32(8 * lane, this.low[lane], true);
      view.setInt32(8 * lane + 4, this.high[lane], true);
    }
    this.used = 0;
  }
}

// -- bytes

export function join(parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function bigEndian(number) {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(number));
  return out;
}

export const text = (string) => new TextEncoder().encode(string);
export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
export const unhex = (string) => Uint8Array.from(string.match(/../g) ?? [], (pair) => parseInt(pair, 16));
export const same = (a, b) => a.length === b.length && a.reduce((differ, byte, at) => differ | (byte ^ b[at]), 0) === 0;
