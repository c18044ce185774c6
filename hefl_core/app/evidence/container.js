// The record inside the file: base64 of gzip of its lines and its bodies by name (Python: app/evidence/file.py).

import { bytes, list, maybe, text, tuple, unpack } from "./shapes.js";

const Container = tuple(bytes, maybe(list(tuple(text, bytes))));

export async function openRecord(base64) {
  const packed = Uint8Array.from(atob(base64.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const [lines, bodies] = unpack(Container, new Uint8Array(await new Response(stream).arrayBuffer()));
  return { lines, blobs: bodies && new Map(bodies) };
}

// The terms that Python wrote, with {"$hex": digits} as bytes.
export function openTerms(json) {
  const revive = (_, value) =>
    value?.$hex === undefined ? value : Uint8Array.from(value.$hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  return JSON.parse(json, revive);
}
