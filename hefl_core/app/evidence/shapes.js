// Shapes of messages, and the one way to write each as bytes: MessagePack for what is signed, JSON for the record's lines.
//
// Reading is strict: bytes are accepted only if writing what they say gives the same bytes again (Python: wire/canonical.py).
// Whole numbers are Number where that is exact and BigInt beyond; byte strings are Uint8Array.

import { join } from "./hash.js";

export class Break extends Error {}

export function expect(holds, message) {
  if (!holds) throw new Break(typeof message === "function" ? message() : message);
}

const OTHER = "the bytes are not in canonical form";
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

// -- MessagePack: bytes in, bytes out

class Bytes {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.at = 0;
  }

  take(count) {
    expect(this.at + count <= this.bytes.length, OTHER);
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  unsigned(width) {
    const at = this.at;
    this.take(width);
    if (width === 8) return exact(this.view.getBigUint64(at));
    return width === 1 ? this.bytes[at] : width === 2 ? this.view.getUint16(at) : this.view.getUint32(at);
  }

  signed(width) {
    const at = this.at;
    this.take(width);
    if (width === 8) return exact(this.view.getBigInt64(at));
    return width === 1 ? this.view.getInt8(at) : width === 2 ? this.view.getInt16(at) : this.view.getInt32(at);
  }

  // A length: `short` of it fit into the first byte above `base`, longer ones follow `codes` in 1, 2 or 4 bytes.
  length(base, short, codes) {
    const first = this.unsigned(1);
    if (first >= base && first < base + short) return first - base;
    const width = codes[first];
    expect(width !== undefined, OTHER);
    const found = this.unsigned(width);
    const least = codes[first - 1] ? 256 ** codes[first - 1] : short;
    expect(found >= least, OTHER);
    return found;
  }
}

const exact = (big) => (big >= -(2n ** 53n) + 1n && big < 2n ** 53n ? Number(big) : big);
const TEXT = { 0xd9: 1, 0xda: 2, 0xdb: 4 };
const BINARY = { 0xc4: 1, 0xc5: 2, 0xc6: 4 };
const ARRAY = { 0xdc: 2, 0xdd: 4 };
const MAP = { 0xde: 2, 0xdf: 4 };

function number(width, code, value) {
  const out = new Uint8Array(1 + width),
    view = new DataView(out.buffer);
  out[0] = code;
  if (width === 1) out[1] = Number(value);
  else if (width === 2) view.setUint16(1, Number(value));
  else if (width === 4) view.setUint32(1, Number(value));
  else view.setBigUint64(1, BigInt.asUintN(64, BigInt(value)));
  return out;
}

function length(base, short, codes, value) {
  if (value < short) return Uint8Array.of(base + value);
  const code = Object.keys(codes).find((code) => value < 256 ** codes[code]);
  return number(codes[code], Number(code), value);
}

export function pack(shape, value) {
  const parts = [];
  shape.write(parts, value);
  return join(parts);
}

export function unpack(shape, bytes) {
  const from = new Bytes(bytes),
    value = shape.read(from);
  expect(from.at === bytes.length, OTHER);
  return value;
}

// -- JSON: a line in, its value out

class Text {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  next(literal) {
    const there = this.text.startsWith(literal, this.at);
    if (there) this.at += literal.length;
    return there;
  }

  need(literal) {
    expect(this.next(literal), "a line that is not of this format, or not in canonical form; its bytes were changed");
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    expect(found, "a line that is not of this format, or not in canonical form; its bytes were changed");
    this.at = pattern.lastIndex;
    return found[0];
  }

  string() {
    const token = this.match(/"(?:[^"\\\u0000-\u001f]|\\.)*"/y);
    const value = JSON.parse(token);
    expect(JSON.stringify(value) === token && !/\p{Cs}/u.test(value), "a line is not in canonical form");
    return value;
  }

  *list() {
    this.need("[");
    for (let first = true; !this.next("]"); first = false) {
      if (!first) this.need(",");
      yield this;
    }
  }
}

export function readLine(shape, bytes) {
  const from = new Text(utf8.decode(bytes));
  const value = shape.json(from);
  expect(from.at === from.text.length, "a line is not in canonical form; its bytes were changed");
  return value;
}

// A float as the record writes it: point notation from 1e-5 up to 1e16, shortest digits.
function spell(value) {
  const [digits, exponent] = value.toExponential().split("e");
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  if (exponent < -5 || exponent >= 16) return `${digits}e${Number(exponent)}`;
  const sign = value < 0 ? "-" : "",
    all = digits.replace(/[-.]/g, ""),
    point = Number(exponent) + 1;
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${all}`;
  return `${sign}${all.slice(0, point).padEnd(point, "0")}.${all.slice(point) || "0"}`;
}

// -- shapes

export const int = {
  read(from) {
    const first = from.unsigned(1);
    if (first < 0x80) return first;
    if (first >= 0xe0) return first - 256;
    const width = 2 ** (first & 3);
    expect(first >= 0xcc && first <= 0xd3, OTHER);
    const value = first < 0xd0 ? from.unsigned(width) : from.signed(width);
    const out = pack(int, value);
    expect(out[0] === first, OTHER);
    return value;
  },
  write(parts, value) {
    if (value >= 0) {
      const width = value < 256 ? 1 : value < 65536 ? 2 : value < 2 ** 32 ? 4 : 8;
      parts.push(value < 128 ? Uint8Array.of(value) : number(width, 0xcc + Math.log2(width), value));
    } else {
      const width = value >= -128 ? 1 : value >= -32768 ? 2 : value >= -(2 ** 31) ? 4 : 8;
      parts.push(value >= -32 ? Uint8Array.of(value) : number(width, 0xd0 + Math.log2(width), value));
    }
  },
  json(from) {
    const token = from.match(/-?(?:0|[1-9][0-9]{0,19})(?![0-9.eE])/y),
      big = BigInt(token);
    expect(token !== "-0" && big >= -(2n ** 63n) && big < 2n ** 64n, "a number that no line has");
    return exact(big);
  },
};

export const float = {
  read(from) {
    expect(from.unsigned(1) === 0xcb, OTHER);
    return new DataView(from.take(8).slice().buffer).getFloat64(0);
  },
  write(parts, value) {
    const out = new Uint8Array(9);
    out[0] = 0xcb;
    new DataView(out.buffer).setFloat64(1, value);
    parts.push(out);
  },
  json(from) {
    const token = from.match(/-?[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?/y),
      value = Number(token);
    expect(Number.isFinite(value) && spell(value) === token, "a number that is not in canonical form");
    return value;
  },
};

export const text = {
  read: (from) => utf8.decode(from.take(from.length(0xa0, 32, TEXT))),
  write(parts, value) {
    const raw = encoder.encode(value);
    parts.push(length(0xa0, 32, TEXT, raw.length), raw);
  },
  json: (from) => from.string(),
};

export const bytes = {
  read: (from) => from.take(from.length(0, 0, BINARY)),
  write: (parts, value) => parts.push(length(0, 0, BINARY, value.length), value),
  json(from) {
    const token = from.match(/"[A-Za-z0-9+/=]*"/y).slice(1, -1),
      raw = atob(token);
    expect(btoa(raw) === token, "bytes that are not in canonical form");
    return Uint8Array.from(raw, (letter) => letter.charCodeAt(0));
  },
};

export const bool = {
  read(from) {
    const first = from.unsigned(1);
    expect(first === 0xc2 || first === 0xc3, OTHER);
    return first === 0xc3;
  },
  write: (parts, value) => parts.push(Uint8Array.of(value ? 0xc3 : 0xc2)),
  json(from) {
    if (from.next("true")) return true;
    from.need("false");
    return false;
  },
};

// A value, or null.
export const maybe = (shape) => ({
  read(from) {
    if (from.bytes[from.at] !== 0xc0) return shape.read(from);
    from.at += 1;
    return null;
  },
  write: (parts, value) => (value === null ? parts.push(Uint8Array.of(0xc0)) : shape.write(parts, value)),
  json: (from) => (from.next("null") ? null : shape.json(from)),
});

// A float, or one word.
export const floatOr = (word) => ({
  write: (parts, value) => (value === word ? text : float).write(parts, value),
  json: (from) => (from.next(`"${word}"`) ? word : float.json(from)),
});

export const list = (shape) => ({
  read: (from) => Array.from({ length: from.length(0x90, 16, ARRAY) }, () => shape.read(from)),
  write(parts, values) {
    parts.push(length(0x90, 16, ARRAY, values.length));
    for (const value of values) shape.write(parts, value);
  },
  json: (from) => Array.from(from.list(), () => shape.json(from)),
});

export const tuple = (...shapes) => ({
  read(from) {
    expect(from.length(0x90, 16, ARRAY) === shapes.length, OTHER);
    return shapes.map((shape) => shape.read(from));
  },
  write(parts, values) {
    parts.push(length(0x90, 16, ARRAY, shapes.length));
    shapes.forEach((shape, at) => shape.write(parts, values[at]));
  },
  json(from) {
    const values = [];
    for (const one of from.list()) {
      expect(values.length < shapes.length, "a list of another length");
      values.push(shapes[values.length].json(one));
    }
    expect(values.length === shapes.length, "a list of another length");
    return values;
  },
});

// A field that is left out where it is undefined.
export const unset = (shape) => ({ ...shape, unset: true });

// Named fields in this order. `check(value)` refuses values that contradict each other.
export function struct(fields, check = () => {}) {
  const names = Object.keys(fields);
  return {
    fields,
    read(from) {
      const count = from.length(0x80, 16, MAP),
        value = {};
      let found = 0;
      for (const name of names) {
        const start = from.at;
        if (fields[name].unset && (found === count || text.read(from) !== name)) {
          from.at = start;
          continue;
        }
        if (!fields[name].unset) expect(text.read(from) === name, OTHER);
        value[name] = fields[name].read(from);
        found += 1;
      }
      expect(found === count, OTHER);
      check(value);
      return value;
    },
    write(parts, value) {
      const there = names.filter((name) => !(fields[name].unset && value[name] === undefined));
      parts.push(length(0x80, 16, MAP, there.length));
      for (const name of there) {
        text.write(parts, name);
        fields[name].write(parts, value[name]);
      }
    },
    json(from) {
      from.need("{");
      const value = this.inside(from, true);
      return value;
    },
    inside(from, first) {
      const value = {};
      for (const name of names) {
        const key = `${first ? "" : ","}"${name}":`;
        if (fields[name].unset && !from.text.startsWith(key, from.at)) continue;
        from.need(key);
        value[name] = fields[name].json(from);
        first = false;
      }
      from.need("}");
      check(value);
      return value;
    },
  };
}

// One of several structs, which its first field names; only lines have them.
export const oneOf = (kinds) => ({
  json(from) {
    from.need('{"type":');
    const type = from.string();
    expect(Object.hasOwn(kinds, type), "a line of a type that the record does not have");
    return { type, ...kinds[type].inside(from, false) };
  },
});
