// Polynomials modulo x^N + 1 and modulo several primes, exactly, in numbers that JavaScript has.
//
// A residue below 2^60 does not fit a double (53 bits), so a row of N residues is two arrays of 30-bit halves:
// residue j = high[j] * 2^30 + low[j]. An element of the ring is a list of rows, one for each prime.
//
// A product is made of digits: small whole numbers whose products a Fourier transform in doubles gets right once the
// result is rounded. `rounded` measures how far each value was from a whole number and refuses when it is not sure.

export const HALF = 2 ** 30;
const MASK = HALF - 1;
const STEP = 2 ** 15; // the largest factor of multiplyAdd: all its products stay below 2^53

// -- primes and rows

export function openPrime(decimal) {
  const value = BigInt(decimal);
  const bits = value.toString(2).length;
  if (bits > 60) throw new Error(`prime: expected at most 60 bits, found ${bits}; choose another preset`);
  return {
    value,
    bits,
    number: Number(value),
    high: Number(value >> 30n),
    low: Number(value & BigInt(MASK)),
    width: Math.ceil(bits / 8), // bytes of a residue in a share and in a partial decryption
  };
}

export const zeroRow = (degree) => ({ high: new Int32Array(degree), low: new Int32Array(degree) });
export const zeroElement = (degree, primes) => primes.map(() => zeroRow(degree));
export const wordOf = (row, j) => (BigInt(row.high[j]) << 30n) | BigInt(row.low[j]);

export function setWord(row, j, word) {
  row.high[j] = Number(word >> 30n);
  row.low[j] = Number(word & BigInt(MASK));
}

// row <- row * factor + addend modulo the prime. Factor up to 2^15, |addend| below 2^45 (or null for 0).
export function multiplyAdd(row, factor, addend, prime) {
  const { high, low } = row;
  for (let j = 0; j < high.length; j++) {
    const extra = addend === null ? 0 : addend[j];
    // The quotient comes from doubles and may be off by one; the remainder is then exact, and off by one prime.
    const quotient = Math.floor(((high[j] * HALF + low[j]) * factor + extra) / prime.number);
    settle(row, j, high[j] * factor - quotient * prime.high, low[j] * factor + extra - quotient * prime.low, prime);
  }
}

// Store h * 2^30 + l, which is off by at most one prime, as a residue.
function settle(row, j, h, l, prime) {
  let carry = Math.floor(l / HALF);
  h += carry;
  l -= carry * HALF;
  if (h < 0) {
    h += prime.high;
    l += prime.low;
  } else if (h > prime.high || (h === prime.high && l >= prime.low)) {
    h -= prime.high;
    l -= prime.low;
  }
  carry = Math.floor(l / HALF);
  row.high[j] = h + carry;
  row.low[j] = l - carry * HALF;
}

export function add(a, b, prime) {
  // a <- a + b
  for (let j = 0; j < a.high.length; j++) settle(a, j, a.high[j] + b.high[j], a.low[j] + b.low[j], prime);
  return a;
}

export function subtract(a, b, prime) {
  // a <- a - b
  for (let j = 0; j < a.high.length; j++) settle(a, j, a.high[j] - b.high[j], a.low[j] - b.low[j], prime);
  return a;
}

export function addConstant(row, word, prime) {
  const high = Number(word >> 30n),
    low = Number(word & BigInt(MASK));
  for (let j = 0; j < row.high.length; j++) settle(row, j, row.high[j] + high, row.low[j] + low, prime);
}

// Small signed numbers (Float64Array), the SAME ones for every prime: an error drawn anew for each prime would be an
// enormous error modulo their product.
export function addSmall(element, small, primes) {
  element.forEach((row, l) => multiplyAdd(row, 1, small, primes[l]));
}

export const equal = (a, b) =>
  a.every((row, l) => row.high.every((half, j) => half === b[l].high[j] && row.low[j] === b[l].low[j]));

// -- digits

// The residues, taken between -p/2 and p/2, as signed digits of `width` bits: residue = sum of digit_k * 2^(width k).
export function digits(row, prime, width) {
  const count = Math.ceil(prime.bits / width),
    base = 2 ** width,
    degree = row.high.length;
  const out = Array.from({ length: count }, () => new Float64Array(degree));
  const perHalf = 30 / width; // 1 or 2
  for (let j = 0; j < degree; j++) {
    let high = row.high[j],
      low = row.low[j];
    const value = high * HALF + low;
    if (value > prime.number / 2) {
      high -= prime.high;
      low -= prime.low;
    }
    for (let k = 0; k < count; k++) {
      const part = k < perHalf ? low : high;
      if (k === count - 1) {
        // The top digit takes what is left, so that no carry is lost.
        out[k][j] = k < perHalf ? low + high * 2 ** (30 - width * k) : high;
        break;
      }
      const carry = Math.round(part / base),
        digit = part - carry * base;
      out[k][j] = digit;
      if (k + 1 === perHalf) {
        high += carry;
        low = 0;
      } else if (k < perHalf) low = carry;
      else high = carry;
    }
  }
  return out;
}

// Sum of parts_k * 2^(width k) modulo the prime, by Horner's rule. Parts are whole numbers below 2^45.
export function fold(parts, width, prime) {
  const row = zeroRow(parts[0].length);
  for (let k = parts.length - 1; k >= 0; k--) {
    for (let shift = STEP; shift < 2 ** width; shift *= STEP) multiplyAdd(row, STEP, null, prime);
    multiplyAdd(row, STEP, parts[k], prime);
  }
  return row;
}

// -- products modulo x^N + 1 by a Fourier transform

// N real coefficients travel as N/2 complex ones, because x^(N/2) = i is a square root of -1 here: coefficient j is the
// real part and coefficient j + N/2 the imaginary part. The twist by exp(i pi j / N) makes the cycle a negative one.
export class Fourier {
  constructor(degree) {
    this.degree = degree;
    this.size = degree / 2;
    const size = this.size,
      bits = Math.log2(size);
    this.twistRe = Float64Array.from({ length: size }, (_, j) => Math.cos((Math.PI * j) / degree));
    this.twistIm = Float64Array.from({ length: size }, (_, j) => Math.sin((Math.PI * j) / degree));
    this.rootRe = Float64Array.from({ length: size / 2 }, (_, k) => Math.cos((2 * Math.PI * k) / size));
    this.rootIm = Float64Array.from({ length: size / 2 }, (_, k) => Math.sin((2 * Math.PI * k) / size));
    this.order = Uint32Array.from({ length: size }, (_, j) => reversed(j, bits));
  }

  forward(real) {
    const { size, order, twistRe, twistIm } = this;
    const re = new Float64Array(size),
      im = new Float64Array(size);
    for (let j = 0; j < size; j++) {
      const x = real[j],
        y = real[j + size],
        to = order[j];
      re[to] = x * twistRe[j] - y * twistIm[j];
      im[to] = x * twistIm[j] + y * twistRe[j];
    }
    this.#butterflies(re, im, 1);
    return { re, im };
  }

  // Back to coefficients, rounded to whole numbers.
  rounded({ re, im }) {
    const { size, order, twistRe, twistIm, degree } = this;
    const a = new Float64Array(size),
      b = new Float64Array(size),
      out = new Float64Array(degree);
    for (let j = 0; j < size; j++) {
      a[order[j]] = re[j];
      b[order[j]] = im[j];
    }
    this.#butterflies(a, b, -1);
    let worst = 0,
      largest = 0;
    for (let j = 0; j < size; j++) {
      const x = (a[j] * twistRe[j] + b[j] * twistIm[j]) / size;
      const y = (b[j] * twistRe[j] - a[j] * twistIm[j]) / size;
      out[j] = Math.round(x);
      out[j + size] = Math.round(y);
      worst = Math.max(worst, Math.abs(x - out[j]), Math.abs(y - out[j + size]));
      largest = Math.max(largest, Math.abs(x), Math.abs(y));
    }
    // Exact values are whole. The standard lets Math.cos be approximate, so this is measured, never assumed. Above 2^45
    // doubles begin to look whole by themselves, and multiplyAdd takes no more.
    if (!(worst < 0.25 && largest <= 2 ** 45)) {
      throw new Error(`product: ${worst} away from a whole number; this browser cannot take part`);
    }
    return out;
  }

  #butterflies(re, im, sign) {
    const { size, rootRe, rootIm } = this;
    for (let half = 1; half < size; half *= 2) {
      const stride = size / (2 * half);
      for (let start = 0; start < size; start += 2 * half) {
        for (let j = 0, k = 0; j < half; j++, k += stride) {
          const top = start + j,
            low = top + half,
            c = rootRe[k],
            s = sign * rootIm[k];
          const x = re[low] * c - im[low] * s,
            y = re[low] * s + im[low] * c;
          re[low] = re[top] - x;
          im[low] = im[top] - y;
          re[top] += x;
          im[top] += y;
        }
      }
    }
  }
}

function reversed(number, bits) {
  let out = 0;
  for (let i = 0; i < bits; i++) out |= ((number >> i) & 1) << (bits - 1 - i);
  return out;
}

export function pointwise(a, b, into) {
  // into <- into + a * b, complex
  for (let j = 0; j < a.re.length; j++) {
    into.re[j] += a.re[j] * b.re[j] - a.im[j] * b.im[j];
    into.im[j] += a.re[j] * b.im[j] + a.im[j] * b.re[j];
  }
  return into;
}

const zeroComplex = (size) => ({ re: new Float64Array(size), im: new Float64Array(size) });

// Prepare a row for many products with small polynomials (-1, 0, 1): 30-bit digits, transformed once.
export const prepareLarge = (fourier, row, prime) => digits(row, prime, 30).map((digit) => fourier.forward(digit));

export function timesSmall(fourier, prepared, small, prime) {
  const parts = prepared.map((digit) => fourier.rounded(pointwise(digit, small, zeroComplex(fourier.size))));
  return fold(parts, 30, prime);
}

// Prepare a row for products with other rows: 15-bit digits keep each coefficient of a product below 2^45.
export const prepareDigits = (fourier, row, prime) => digits(row, prime, 15).map((digit) => fourier.forward(digit));

export function timesRow(fourier, a, b, prime) {
  const sums = Array.from({ length: a.length + b.length - 1 }, () => zeroComplex(fourier.size));
  a.forEach((x, i) => b.forEach((y, k) => pointwise(x, y, sums[i + k])));
  return fold(
    sums.map((sum) => fourier.rounded(sum)),
    15,
    prime,
  );
}

// Schoolbook product by the definition, x^N = -1: slow, for tests and for reading.
export function timesByHand(row, small, prime) {
  const degree = row.high.length,
    out = zeroRow(degree);
  const words = Array.from({ length: degree }, (_, j) => wordOf(row, j));
  for (let j = 0; j < degree; j++) {
    let sum = 0n;
    for (let k = 0; k < degree; k++) {
      const other = words[(j - k + degree) % degree] * BigInt(small[k]);
      sum += k > j ? -other : other;
    }
    setWord(out, j, ((sum % prime.value) + prime.value) % prime.value);
  }
  return out;
}

// -- the special prime

// A fresh ciphertext is made modulo all primes and divided by the last, small one, P: c' = (c - r) / P with r = c mod P
// between -P/2 and P/2. That divides the noise by P as well.
export function switchDown(element, primes) {
  const special = primes.at(-1),
    last = element.at(-1),
    P = special.number;
  if (special.bits > 22) throw new Error(`special prime: expected at most 22 bits, found ${special.bits}`);
  return element.slice(0, -1).map((row, l) => {
    const prime = primes[l],
      degree = row.high.length,
      out = zeroRow(degree);
    const inverse = Number(invert(prime.value % special.value, special.value)),
      unit = HALF % P;
    for (let j = 0; j < degree; j++) {
      const r = last.low[j] > P / 2 ? last.low[j] - P : last.low[j];
      // m makes c - r + m * p divisible by P as a whole number.
      const rest = ((row.high[j] % P) * unit + (row.low[j] % P)) % P;
      const m = (((((r - rest) % P) + P) % P) * inverse) % P;
      const high = row.high[j] + m * prime.high,
        low = row.low[j] - r + m * prime.low;
      const above = Math.floor(high / P);
      settle(out, j, above, ((high - above * P) * HALF + low) / P, prime);
    }
    return out;
  });
}

export function power(base, exponent, modulus) {
  let result = 1n;
  for (base %= modulus; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = (result * base) % modulus;
    base = (base * base) % modulus;
  }
  return result;
}

export const invert = (number, prime) => power(((number % prime) + prime) % prime, prime - 2n, prime);

// -- bytes

// Rows as little-endian words of `widthOf(prime)` bytes. Refuses another length and residues that are not below p.
export function readRows(bytes, degree, primes, widthOf, what) {
  const expected = degree * primes.reduce((sum, prime) => sum + widthOf(prime), 0);
  if (bytes.length !== expected) throw new Error(`${what}: expected ${expected} bytes, found ${bytes.length}`);
  let at = 0;
  return primes.map((prime) => {
    const row = zeroRow(degree),
      width = widthOf(prime);
    for (let j = 0; j < degree; j++, at += width) {
      let low = 0,
        high = 0; // two unsigned halves of 32 bits
      for (let k = Math.min(width, 4) - 1; k >= 0; k--) low = low * 256 + bytes[at + k];
      for (let k = width - 1; k >= 4; k--) high = high * 256 + bytes[at + k];
      row.low[j] = low % HALF;
      const h = high * 4 + Math.floor(low / HALF);
      if (h > prime.high || (h === prime.high && row.low[j] >= prime.low)) {
        throw new Error(`${what}: expected residues below ${prime.value}, found a larger one`);
      }
      row.high[j] = h;
    }
    return row;
  });
}

export function writeRows(element, primes, widthOf) {
  const degree = element[0].high.length;
  const out = new Uint8Array(degree * primes.reduce((sum, prime) => sum + widthOf(prime), 0));
  let at = 0;
  element.forEach((row, l) => {
    const width = widthOf(primes[l]);
    for (let j = 0; j < degree; j++, at += width) {
      let low = row.low[j] + (row.high[j] % 4) * HALF,
        high = Math.floor(row.high[j] / 4);
      for (let k = 0; k < Math.min(width, 4); k++) {
        out[at + k] = low % 256;
        low = Math.floor(low / 256);
      }
      for (let k = 4; k < width; k++) {
        out[at + k] = high % 256;
        high = Math.floor(high / 256);
      }
    }
  });
  return out;
}

export const eightBytes = () => 8; // ciphertexts and keys
export const fewBytes = (prime) => prime.width; // shares and partial decryptions

// -- randomness

// Bytes from the operating system. Without them this page refuses: Math.random can be computed from its own output,
// and whoever knows the randomness of a ciphertext reads what is in it.
export function secureRandom(count) {
  const source = globalThis.crypto;
  if (typeof source?.getRandomValues !== "function") {
    throw new Error("randomness: this browser has no crypto.getRandomValues; nothing is encrypted without it");
  }
  const out = new Uint8Array(count);
  // One call gives at most 65,536 bytes.
  for (let at = 0; at < count; at += 65536) source.getRandomValues(out.subarray(at, Math.min(at + 65536, count)));
  if (count >= 32) refuseRepetition(out.subarray(0, 32));
  return out;
}

// True random bytes repeat like this once in 2^128: a source that does is broken, not unlucky.
let previous = "";
function refuseRepetition(head) {
  const first = head.subarray(0, 16).join(),
    second = head.subarray(16).join();
  if (first === second || first + second === previous) {
    throw new Error("randomness: this browser's source repeats itself; nothing is encrypted with it");
  }
  previous = first + second;
}

// Coefficients -1, 0, 1, equally likely. 255 = 3 * 85: below it each remainder by 3 is equally likely.
export function ternary(degree, random) {
  const out = new Float64Array(degree);
  for (let done = 0; done < degree;) {
    for (const byte of random(degree - done + 32)) {
      if (byte < 255 && done < degree) out[done++] = (byte % 3) - 1;
    }
  }
  return out;
}

const ONES = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);

// The difference of two counts of 21 coins: standard deviation 3.24, as SEAL and the Python code draw errors.
export function errors(degree, random) {
  const bytes = random(6 * degree),
    out = new Float64Array(degree);
  const coins = (at) => ONES[bytes[at]] + ONES[bytes[at + 1]] + ONES[bytes[at + 2] & 31];
  for (let j = 0; j < degree; j++) out[j] = coins(6 * j) - coins(6 * j + 3);
  return out;
}

// Uniform residues by rejection: words of 8 bytes, cut to the prime's bits, kept where they are below the prime.
export function uniformRow(degree, prime, random) {
  const row = zeroRow(degree),
    highMask = 2 ** Math.max(0, prime.bits - 30) - 1,
    lowMask = 2 ** Math.min(30, prime.bits) - 1;
  for (let done = 0; done < degree;) {
    const bytes = random(8 * (degree - done)),
      view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let at = 0; at < bytes.length; at += 8) {
      const first = view.getUint32(at, true),
        second = view.getUint32(at + 4, true);
      const low = first & MASK & lowMask,
        high = (((second << 2) | (first >>> 30)) & highMask) >>> 0;
      if (high < prime.high || (high === prime.high && low < prime.low)) {
        row.low[done] = low;
        row.high[done++] = high;
      }
    }
  }
  return row;
}
