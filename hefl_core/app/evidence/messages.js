// The messages of a run and the lines of its record, with the rules that each keeps by itself (Python: hefl_core/wire/envelope.py,
// keys/roster.py, keys/epochs.py, keys/audit.py, terms/messages.py, federation/record/transcript.py).

import { digest, same, sha256, text as utf8 } from "./hash.js";
import {
  bool, bytes, expect, float, floatOr, int, list, maybe, oneOf, pack, unpack, struct, text, tuple, unset,
} from "./shapes.js";

// -- envelopes

export const Position = struct({ epoch: int, round: int, attempt: int });
export const Header = struct({
  kind: text, experiment: text, position: Position, key_id: text, sender: text, recipients: list(text), sequence: int,
  previous: bytes, plan: bytes, state: bytes, commitments: bytes, length: int, blocks: int, content_nbytes: int,
  content_digest: bytes, sealed: bool, domain: text, version: int,
});
export const SignedHeader = struct({ header: Header, signature: bytes });

const digests = new WeakMap();

// SHA-256 of the canonical header: the name of a message.
export function headerDigest(header) {
  if (!digests.has(header)) digests.set(header, sha256(pack(Header, header)));
  return digests.get(header);
}

export const alike = (shape, a, b) => a !== null && b !== null && same(pack(shape, a), pack(shape, b));
export const samePlace = (a, b) => a.epoch === b.epoch && a.round === b.round && a.attempt === b.attempt;
export const sameNames = (a, b) => a.length === b.length && a.every((name, at) => name === b[at]);
export const different = (names) => new Set(names).size === names.length;

const opened = new Map(); // signing keys by their digits: a party signs many messages

// The browser's own Ed25519. Throws NotSupportedError where it has none.
export async function isSigned(key, signature, message) {
  if (key.length !== 32) return false;
  const name = hexOf(key);
  try {
    if (!opened.has(name)) opened.set(name, await crypto.subtle.importKey("raw", key, "Ed25519", false, ["verify"]));
    return await crypto.subtle.verify("Ed25519", opened.get(name), signature, message);
  } catch (error) {
    if (error.name === "NotSupportedError") throw error;
    return false;
  }
}

export async function checkSignature(signed, key) {
  const { header, signature } = signed;
  expect(header.domain === "hefl/envelope" && header.version === 1, "envelope: expected hefl/envelope version 1, found another");
  expect(
    await isSigned(key, signature, pack(Header, header)),
    `${header.kind}: the signature is not ${header.sender}'s; expected a message signed with the roster's key`,
  );
}

// -- parties

const ROLES = ["client", "coordinator", "auditor", "kms", "observer"];
export const Member = struct({ name: text, role: text, signing: bytes, sealing: bytes, voucher: bytes }, (member) => {
  const { name, role, signing, sealing, voucher } = member;
  const printable = !/\p{C}|\p{Zl}|\p{Zp}|(?! )\p{Zs}/u.test(name) && !name.includes("/");
  expect(printable && name !== "" && [...name].length <= 64, "member: expected a name of 1 to 64 printable characters");
  expect(ROLES.includes(role), `${name}: expected another role`);
  const found = `${sealing.length} ${voucher.length}`;
  const forms = role === "client" ? ["0 0", "1216 64", "32 64"] : ["1216 0", "32 0"];
  expect(signing.length === 32 && forms.includes(found), `${name}: expected keys of other lengths`);
});
export const Roster = struct({ experiment: text, epoch: int, members: list(Member) }, ({ members }) => {
  for (const part of [(m) => m.name, (m) => hexKey(m.signing), (m) => hexKey(m.sealing)]) {
    expect(different(members.map(part)), "roster: expected different names and keys, found one twice");
  }
  expect(members.every((member) => member.sealing.length), "roster: expected a sealing key of each member");
});
const hexKey = (raw) => raw.join();

export const clientsOf = (roster) => roster.members.filter((m) => m.role === "client").map((m) => m.name);
export const memberOf = (roster, name) => {
  const found = roster.members.find((member) => member.name === name);
  expect(found, `roster of epoch ${roster.epoch}: expected one of its members, found ${name.slice(0, 80)}`);
  return found;
};
export const rosterDigest = (roster) => digest(utf8("hefl/roster"), pack(Roster, roster));

// The same in every epoch with the same parties: names, roles and lasting keys, sorted.
export function fingerprint(roster) {
  const lines = roster.members.map((m) => [m.name, m.role, m.signing, m.role === "client" ? new Uint8Array() : m.sealing]);
  lines.sort((a, b) => byCodePoints(a[0], b[0]));
  return digest(utf8("hefl/members"), utf8(roster.experiment), pack(list(tuple(text, text, bytes, bytes)), lines));
}

function byCodePoints(a, b) {
  const x = utf8(a), // UTF-8 sorts as code points do
    y = utf8(b);
  const at = x.findIndex((byte, at) => byte !== y[at]);
  return at < 0 ? x.length - y.length : at >= y.length ? 1 : x[at] - y[at];
}

const Vouched = tuple(text, text, int, text, bytes);

export async function checkVouchers(roster) {
  for (const member of roster.members.filter(({ role }) => role === "client")) {
    const statement = pack(Vouched, ["hefl/sealing-key", roster.experiment, roster.epoch, member.name, member.sealing]);
    expect(
      await isSigned(member.signing, member.voucher, statement),
      `${member.name}: expected its own signature under its sealing key of epoch ${roster.epoch}, found another`,
    );
  }
}

// -- keys and epochs

export const Quorum = struct({ threshold: int, holders: int }, ({ threshold, holders }) =>
  expect(1 <= threshold && threshold <= holders, "quorum: expected 1 to n of n"),
);
const KeyId = struct({ scheme: text, preset: text, epoch: int, fingerprint: text });
export const spellKey = (id) => `${id.preset}/epoch-${id.epoch}/${id.fingerprint}`;
export const PublicKey = struct({ id: KeyId, quorum: Quorum, material: bytes });
export const EpochRecord = struct(
  {
    experiment: text, epoch: int, previous: bytes, preset: text, preset_digest: bytes, public_key_digest: bytes,
    quorum: Quorum, dealer: text, roster_digest: bytes, first_round: int, last_round: int, max_decryptions: int,
  },
  (r) => {
    const rounds = 1 <= r.first_round && r.first_round <= r.last_round;
    expect(r.epoch >= 1 && rounds && r.max_decryptions >= 1, "epoch record: its numbers contradict each other");
    expect(r.dealer === "kms" || r.dealer === "dealer-free", "epoch record: expected another dealer");
    const whole = [r.preset_digest, r.public_key_digest, r.roster_digest].every((one) => one.length === 32);
    expect(whole && [0, 32].includes(r.previous.length), "epoch record: expected digests of 32 bytes");
  },
);
export const epochDigest = (record) => digest(utf8("hefl/epoch-record"), pack(EpochRecord, record));
export const AuditEntry = struct({
  sequence: int, time: int, action: text, subject: text, details: list(tuple(text, text)), previous: bytes, signature: bytes,
});
const Audited = tuple(text, AuditEntry);
export const auditSigned = (entry) => pack(Audited, ["hefl/audit", { ...entry, signature: new Uint8Array() }]);
export const auditDigest = (entry) => digest(auditSigned(entry), entry.signature);
export const CeremonyResult = struct({
  experiment: text, epoch: int, preset: text, quorum: Quorum, public_key_digest: bytes, transcript: bytes, tag_key_digest: bytes,
});
const Approvals = struct({ result: CeremonyResult, headers: list(SignedHeader) });
export const EpochAnnouncement = struct({
  record: EpochRecord, public_key: PublicKey, history: list(EpochRecord), audit: list(AuditEntry), approvals: maybe(Approvals),
});

// -- a round

export const CiphertextVector = struct({
  key_id: KeyId, length: int, integers: int, tagged: bool, bound: maybe(float), max_terms: int, terms: int, blocks: list(bytes),
});
export const RoundPlan = struct({
  epoch_record: bytes, previous: bytes, cohort: list(text), min_cohort: int, bound: maybe(float), max_terms: int,
  examples_max: int, length: int, theta_0: maybe(bytes),
});
export const Commitment = struct({ ciphertext_digest: bytes, nbytes: int, spares: list(bytes) });
export const CommitmentList = struct({ listed: list(SignedHeader), commitments: list(Commitment) });
export const listDigest = ({ listed }) => digest(...listed.map((signed) => pack(SignedHeader, signed)));
export const senders = (headers) => headers.map((signed) => signed.header.sender);
export const Acknowledgement = struct({ listed: bytes });
export const Objection = struct({ listed: bytes, lacking: list(text) });
export const EncryptedSum = struct({ total: CiphertextVector, updates: list(SignedHeader) });
export const Confirmation = struct({ plan: bytes, updates: list(bytes), blocks: list(bytes) });
export const Ready = struct({ sum: bytes, confirmation: bytes });
export const DecryptionRequest = struct({ active: list(text), sum: bytes, confirmation: bytes });
export const PartialDecryption = struct({
  key_id: KeyId, index: int, active: list(int), total_digest: bytes, blocks: list(bytes),
});
export const Receipt = struct({ sum: bytes, state: bytes });
export const contentDigest = (shape, value) => sha256(pack(shape, value));

// Bodies by the names that the protocol's table gives them.
export const BODIES = {
  Roster, EpochAnnouncement, CeremonyResult, RoundPlan, Commitment, CommitmentList, Acknowledgement, Objection, EncryptedSum,
  Confirmation, Ready, DecryptionRequest, Receipt,
};

// A body sealed to several readers: only its size is checked here.
const SealedBody = struct({ wraps: list(struct({ recipient: text, wrapped: bytes })), nonce: bytes, ciphertext: bytes });

// For whom a sealed body has a wrap, in order.
export const sealedFor = (body) => unpack(SealedBody, body).wraps.map(({ recipient }) => recipient);

export function sealedBytes(header, wrapped) {
  const wraps = header.recipients.map((recipient) => ({ recipient, wrapped: new Uint8Array(wrapped) }));
  const empty = pack(SealedBody, { wraps, nonce: new Uint8Array(12), ciphertext: new Uint8Array() }).length - 2;
  return empty + bytesBytes(header.content_nbytes + 16);
}

export const bytesBytes = (size) => (size < 256 ? 2 : size < 65536 ? 3 : 5) + size;
export const listHead = (count) => (count < 16 ? 1 : count < 65536 ? 3 : 5);

// -- the run's terms

const PARTITIONS = ["iid", "hospital", "shards", "dirichlet-by-class", "dirichlet-by-client"];
const between = (value, low, high) => expect(value >= low && value <= high, "experiment: a number out of its range");
const positive = (value) => expect(value > 0 && value < Infinity, "experiment: expected a positive number");

export const Experiment = struct(
  {
    dataset: text, model: text, trainer: text, scheme: text, custody: text, clients: int, rounds: int, local_epochs: int,
    batch: int, learning_rate: float, partition: text, alpha: maybe(float), min_cohort: maybe(int), seed: int,
    clip_norm: maybe(float), dp_noise: maybe(float), bound: maybe(floatOr("adaptive")), bits: unset(int), rotate: unset(bool),
    epoch_rounds: maybe(int), observed: bool,
  },
  (e) => {
    between(e.clients, 2, 1000);
    between(e.rounds, 1, 10_000);
    between(e.local_epochs, 1, 1000);
    between(e.batch, 1, 100_000);
    if (e.epoch_rounds !== null) between(e.epoch_rounds, 1, 10_000);
    between(e.seed, 0, 2n ** 63n - 1n);
    positive(e.learning_rate);
    for (const value of [e.alpha, e.clip_norm, e.dp_noise]) if (value !== null) positive(value);
    if (e.bound !== null && e.bound !== "adaptive") positive(e.bound);
    expect(["logistic", "mlp", "mlp-large", "cnn", "sums"].includes(e.model), "experiment: expected another model");
    expect(["numpy", "keras"].includes(e.trainer), "experiment: expected another trainer");
    expect(PARTITIONS.includes(e.partition), "experiment: expected another partition");
    between(floorOf(e), 2, e.clients);
    expect(e.dp_noise === null || (e.clip_norm !== null && e.bound === null), "experiment: noise needs a clip and no bound");
  },
);
const BoundRange = struct({ start: float, floor: float, ceiling: float });
const Schema = struct({ columns: list(text), classes: list(text), offset: list(float), scale: list(float) }, (s) => {
  expect(s.columns.length >= 1 && different(s.columns), "schema: expected different columns");
  expect(s.classes.length >= 2 && different(s.classes), "schema: expected different classes");
  const lengths = s.offset.length === s.scale.length && [0, s.columns.length].includes(s.offset.length);
  expect(lengths && s.scale.every((value) => value > 0 && value < Infinity), "schema: expected a scale for each column");
});
export const Manifest = struct({
  experiment: Experiment, parameters: int, examples_max: int, nonce: bytes, bounds: BoundRange, schema: maybe(Schema),
});
export const idOf = (manifest) => hexOf(digest(pack(Manifest, manifest)));
const hexOf = (raw) => Array.from(raw, (byte) => byte.toString(16).padStart(2, "0")).join("");

// Custody as {threshold, holders, dealerFree}.
export function custodyOf({ custody, clients }) {
  if (custody === "individual") return { threshold: 1, holders: clients, dealerFree: false };
  const found = /^(dealer-free:)?([0-9]{1,4})-of-([0-9]{1,4})$/.exec(custody);
  expect(found && Number(found[3]) === clients, "custody: expected 'individual', 'T-of-N' or 'dealer-free:T-of-N'");
  const [threshold, holders, dealerFree] = [Number(found[2]), clients, found[1] !== undefined];
  expect(1 <= threshold && threshold <= holders && !(dealerFree && threshold < 2), "custody: its numbers contradict each other");
  return { threshold, holders, dealerFree };
}

// min_cohort, or the smallest safe one.
export const floorOf = (e) => e.min_cohort ?? Math.max(3, custodyOf(e).threshold + 1);

export function roundsPerEpoch(e) {
  const { threshold, dealerFree } = custodyOf(e);
  if (e.epoch_rounds !== null) return Math.min(e.epoch_rounds, e.rounds);
  return threshold > 1 && !dealerFree ? 1 : e.rounds;
}

// -- lines

const Work = struct({ step: text, seconds: float, cpu_seconds: float });
export const Line = struct({
  previous: bytes,
  entry: oneOf({
    opening: struct({ manifest: Manifest, kms: Member }),
    sent: struct({
      step: text, head: SignedHeader, receivers: list(text), nbytes: int, body: bytes, work: list(Work), inline: maybe(bytes),
    }),
    unsent: struct({ head: SignedHeader }),
    "left-out": struct({ party: text, step: text, position: Position, reason: text }),
    closing: struct({ count: int, head: bytes, signatures: list(tuple(text, bytes)) }),
  }),
});
const Closed = tuple(text, text, int, bytes);
export const closingStatement = (experiment, count, head) => pack(Closed, ["hefl/transcript", experiment, count, head]);

// 32 bytes with many different values, unlike a number written there.
export const looksLikeADigest = (raw) => raw.length === 32 && new Set(raw).size >= 15;
