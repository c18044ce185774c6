// The number-theoretic transform in the order of SEAL, the library that Python uses. Exact, in BigInt, and slow:
// a phone needs it only once for a share and for the common polynomial. Products use ring.js.

import { invert, power, setWord, wordOf, zeroRow } from "./ring.js";

const tables = new Map();

// Powers of the smallest primitive 2N-th root of unity, in bit-reversed order.
function tableOf(prime, degree) {
  const name = `${prime.value} ${degree}`;
  if (!tables.has(name)) tables.set(name, makeTable(prime.value, degree));
  return tables.get(name);
}

function makeTable(p, degree) {
  const root = smallestRoot(p, degree),
    bits = Math.log2(degree);
  const reversed = (j) => parseInt(j.toString(2).padStart(bits, "0").split("").reverse().join(""), 2);
  const inOrder = (base) => {
    const powers = [1n];
    while (powers.length < degree) powers.push((powers.at(-1) * base) % p);
    return powers.map((_, j) => powers[reversed(j)]);
  };
  return { forward: inOrder(root), backward: inOrder(invert(root, p)), shrink: invert(BigInt(degree), p) };
}

function smallestRoot(p, degree) {
  const exponent = (p - 1n) / BigInt(2 * degree);
  let root = 0n;
  // r is a primitive 2N-th root of unity exactly if r^N = -1.
  for (let g = 2n; root === 0n; g++) {
    const candidate = power(g, exponent, p);
    if (power(candidate, BigInt(degree), p) === p - 1n) root = candidate;
  }
  // Its odd powers are all of them; SEAL takes the smallest.
  const square = (root * root) % p;
  let best = root;
  for (let k = 1; k < degree; k++) {
    root = (root * square) % p;
    if (root < best) best = root;
  }
  return best;
}

const wordsOf = (row) => Array.from(row.high, (_, j) => wordOf(row, j));

function rowOf(words) {
  const row = zeroRow(words.length);
  words.forEach((word, j) => setWord(row, j, word));
  return row;
}

// Coefficients to values.
export function ntt(row, prime) {
  const p = prime.value,
    degree = row.high.length,
    x = wordsOf(row),
    { forward } = tableOf(prime, degree);
  for (let blocks = 1, half = degree / 2; half >= 1; blocks *= 2, half /= 2) {
    for (let block = 0; block < blocks; block++) {
      const root = forward[blocks + block],
        start = 2 * block * half;
      for (let j = start; j < start + half; j++) {
        const upper = x[j],
          lower = (x[j + half] * root) % p;
        x[j] = upper + lower >= p ? upper + lower - p : upper + lower;
        x[j + half] = upper < lower ? upper - lower + p : upper - lower;
      }
    }
  }
  return rowOf(x);
}

// Values to coefficients.
export function inverseNtt(row, prime) {
  const p = prime.value,
    degree = row.high.length,
    x = wordsOf(row),
    { backward, shrink } = tableOf(prime, degree);
  for (let blocks = degree / 2, half = 1; blocks >= 1; blocks /= 2, half *= 2) {
    for (let block = 0; block < blocks; block++) {
      const root = backward[blocks + block],
        start = 2 * block * half;
      for (let j = start; j < start + half; j++) {
        const upper = x[j],
          lower = x[j + half];
        x[j] = upper + lower >= p ? upper + lower - p : upper + lower;
        x[j + half] = ((upper < lower ? upper - lower + p : upper - lower) * root) % p;
      }
    }
  }
  return rowOf(x.map((word) => (word * shrink) % p));
}
