// Computes beside the page, so that the page stays responsive. Secrets (the share, s_i) never leave this worker, except
// sealed; the page gets bytes that may travel, and what its owner may see.

import * as ceremony from "./ceremony.js";
import { hex, join, sha256 } from "./hash.js";
import { Holder, nameOf, openShare } from "./holder.js";
import { encrypt, maskOf, openKey, openRing, uploadOf, wordsOf } from "./phone.js";
import { accuracy, train, updateOf } from "./train.js";

let key = null; // the class's public key
let holder = null; // this phone's share and what it answered
let making = null; // a ceremony that is going on
const sent = new Map(); // topic -> what this phone sent last: { topic, name }

const jobs = {
  openKey({ parameters, raw }) {
    key = openKey(parameters, raw);
    if (making?.parts) ceremony.checkKey(key.ring, raw, making.parts, making.a);
    return { fingerprint: key.fingerprint };
  },

  // An answer to be sent: its bytes, and their SHA-256 for the owner and the wall.
  encrypt({ topic, integers, values, how }) {
    const body = uploadOf(key.ring, encrypt(key, wordsOf(key.parameters, integers, values, how)));
    sent.set(topic, { topic, name: nameOf(maskOf(key.ring, body)) });
    return { body, digest: hex(sha256(body)) };
  },

  train({ model, rows, classes, how, bound }) {
    const after = train(model, rows, classes, how);
    return { update: updateOf(model, after, bound), accuracy: accuracy(after, rows, classes) };
  },

  // -- a holder ----------------------------------------------------------------------------------------------------

  takeShare({ parameters, material, index }) {
    const ring = openRing(parameters);
    holder = new Holder(openShare(ring, material, index, parameters.custody.holders, parameters.key_id), parameters);
    return {};
  },

  examine({ opening, c1, addends, topic }) {
    holder.examine(opening, c1, addends, sent.get(topic));
    return {};
  },

  partial: ({ opening, c1, addends, topic }) => ({ body: holder.answer(opening, c1, addends, sent.get(topic)) }),

  // -- a key without a dealer --------------------------------------------------------------------------------------

  commit({ parameters, seed, index }) {
    const ring = openRing(parameters),
      a = ceremony.commonPolynomial(ring, seed);
    making = { ring, a, seed, index, custody: parameters.custody, own: ceremony.contribute(ring, a) };
    return { body: ceremony.commitmentOf(making.own.bytes) };
  },

  // Only when all commitments are there does b_i leave this phone.
  contribute({ commitments }) {
    const { own, index, custody } = making;
    const mine = commitments.subarray(32 * (index - 1), 32 * index);
    if (commitments.length !== 32 * custody.holders || hex(mine) !== hex(ceremony.commitmentOf(own.bytes))) {
      throw new Error("ceremony: a commitment is missing or mine was replaced; start again");
    }
    making.commitments = commitments;
    return { body: own.bytes };
  },

  gather({ contributions }) {
    const { commitments, index, own, seed } = making;
    making.parts = ceremony.openContributions(contributions, commitments, index, own.bytes);
    return { aloud: ceremony.shortFingerprint(seed, making.parts) };
  },

  deal() {
    const { ring, a, seed, index, custody, own, parts } = making;
    const dealt = ceremony.deal(ring, own.secret, custody, index);
    making.kept = dealt[index - 1];
    const seal = (bytes, j) => ceremony.seal(ring, parts[j], a, bytes, ceremony.contextOf(seed, parts, index, j + 1));
    return { body: join(dealt.flatMap((bytes, j) => (j + 1 === index ? [] : [seal(bytes, j)]))) };
  },

  receive({ sealed, parameters }) {
    const { ring, a, seed, index, custody, own, parts, kept } = making,
      size = sealed.length / (custody.holders - 1);
    const dealt = parts.map((_, i) => {
      if (i + 1 === index) return kept;
      const place = i + 1 < index ? i : i - 1; // my own is not among those that were sent to me
      const bytes = sealed.subarray(size * place, size * (place + 1));
      return ceremony.unseal(ring, own, a, bytes, ceremony.contextOf(seed, parts, i + 1, index));
    });
    return jobs.takeShare({ parameters, material: ceremony.shareOf(ring, dealt, index), index });
  },
};

onmessage = ({ data: { number, job, given } }) => {
  try {
    postMessage({ number, found: jobs[job](given) });
  } catch (error) {
    postMessage({ number, error: error.message });
  }
};
