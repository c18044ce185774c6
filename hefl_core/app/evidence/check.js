// One record from its first line to its last: chain, signatures, conversation, contents, sums, closing signatures, pin and heads.
// The first thing that does not fit is the record's first break, on the line on which `hefl verify` finds it
// (Python: federation/record/verify.py and proceedings.py).

import { hex, same, sha256 } from "./hash.js";
import { Conversation, placeName, what } from "./conversation.js";
import {
  Header, Line, Roster, checkVouchers, closingStatement, fingerprint, isSigned, memberOf, rosterDigest, sameNames, sealedBytes,
  sealedFor,
} from "./messages.js";
import { Break, expect, pack, readLine, unpack } from "./shapes.js";
import { Statements } from "./statements.js";

const PRINTABLE = /^(?:[^\p{C}\p{Z}]| )*$/u;
const SMALL_BODY = 64 << 10;
const NEWLINE = 10;

// `record`: lines (bytes) and blobs (Map of hex digest to bytes, null without bodies). `terms`: what Python wrote beside it.
// `pin` and `heads` as readPin and readHeads give them, or null. Gives a verdict; `broken` names the first break.
export async function check(record, terms, { pin = null, heads = null, progress = () => {} } = {}) {
  const checker = new Checker(record.blobs, terms, pin);
  let number = 1;
  try {
    for (const raw of linesOf(record.lines, terms.limits.line)) {
      await checker.take(raw);
      await progress(number);
      number += 1;
    }
  } catch (error) {
    if (error.name === "NotSupportedError") throw error;
    return { ...checker.verdict(), broken: `line ${number}: ${error instanceof Break ? error.message : `it cannot be read (${error.name})`}` };
  }
  try {
    await checker.finish(heads);
  } catch (error) {
    return { ...checker.verdict(), broken: error.message };
  }
  return { ...checker.verdict(), broken: null, heads: heads && Object.keys(heads.heads).length };
}

function* linesOf(bytes, most) {
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(NEWLINE, at);
    expect(end >= 0 && end - at < most, `expected lines of at most ${most} bytes with a newline each, found another; the file is cut off`);
    yield bytes.subarray(at, end);
    at = end + 1;
  }
}

// The lines that can be read, from the first on, to be shown: number, entry, and the roster where a line has one.
export function* linesIn(bytes, terms) {
  let number = 0;
  try {
    for (const raw of linesOf(bytes, terms.limits.line)) {
      const { entry } = readLine(Line, raw);
      yield { number: ++number, entry, roster: entry.inline ? unpack(Roster, entry.inline) : null };
    }
  } catch {
    return; // whatever it is, the verdict names the line
  }
}

class Checker {
  constructor(blobs, terms, pin) {
    this.blobs = blobs;
    this.terms = terms;
    this.pin = pin;
    this.head = new Uint8Array();
    this.count = this.messages = this.unsent = this.notes = 0;
    this.signers = [0, 0];
    this.closed = false;
    this.conversation = null;
    this.statements = null;
    this.named = new Set();
    this.left = 0; // bodies that this file left out on purpose
    this.rosters = [];
  }

  async take(raw) {
    const line = readLine(Line, raw);
    expect(same(line.previous, this.head), "the chain breaks here: a line before it was changed, dropped, doubled or swapped");
    expect(!this.closed, "expected exactly one closing line, the last; the record goes on after it");
    const { entry } = line;
    expect((entry.type === "opening") === (this.conversation === null), "expected exactly one opening line, the first");
    await { opening: this.#open, sent: this.#message, unsent: this.#unsent, "left-out": this.#note, closing: this.#close }[entry.type].call(this, entry);
    this.head = sha256(raw);
    this.count += 1;
  }

  #open({ manifest, kms }) {
    expect(kms.name === "kms" && kms.role === "kms", `opening: expected the KMS's keys, found those of ${kms.name}`);
    const most = this.terms.limits.message / 4;
    const counts = 1 <= manifest.parameters && manifest.parameters <= most && 1 <= manifest.examples_max && manifest.examples_max <= 2n ** 62n;
    expect(counts, `opening: expected 1 to ${most} parameters and a number of examples, found others`);
    const known = manifest.experiment.scheme === this.terms.scheme || this.terms.schemes.includes(manifest.experiment.scheme);
    expect(known, "opening: expected a scheme that the program has, found another");
    this.conversation = new Conversation(manifest, kms, this.terms);
    this.wrapped = kms.sealing.length === 32 ? this.terms.limits.wrapped_before : this.terms.limits.wrapped;
    if (this.blobs === null) return;
    const need = (digest, who, most) => this.#need(digest, who, most);
    this.statements = new Statements(this.conversation, this.terms, need);
  }

  async #message(sent) {
    const { header } = sent.head,
      { conversation } = this,
      who = what(header);
    const roster = header.kind === "roster" ? await readRoster(sent) : null;
    if (roster) conversation.enter(roster);
    else expect(sent.inline === null, `${who}: only rosters stand in the line itself`);
    const [row, place] = await conversation.judge(sent.head, true);
    const told = sent.step === header.kind && sameNames(sent.receivers, header.recipients);
    expect(told, `${who}: the record names another step or other receivers`);
    expect(header.sealed || same(sent.body, header.content_digest), `${who}: recorded body and signed digest differ`);
    const body = header.sealed ? sealedBytes(header, this.wrapped) : header.content_nbytes;
    const size = pack(Header, header).length + sent.head.signature.length + body;
    expect(sent.nbytes === size, `${who}: the recorded size ${sent.nbytes} is not the size of the message; its header says ${size}`);
    checkWork(sent, who);
    if (this.statements) await this.#body(sent, row, who, body);
    conversation.note(sent.head, row, place, true);
    this.named.add(hex(sent.body));
    if (roster) this.#pinned(roster);
    this.messages += 1;
  }

  async #body(sent, row, who, size) {
    const { head } = sent;
    if (this.#skips(head.header, row)) {
      this.left += 1;
      if (row.kind === "update") this.statements.update(head);
      if (row.kind === "sum") this.statements.unreadSum(head);
      return;
    }
    const most = row.most_bytes + this.terms.limits.message;
    const body = row.kept ? this.#need(sent.body, who, most) : this.#find(sent.body, who, most);
    if (body === null) return;
    const again = body.length > SMALL_BODY && this.named.has(hex(sent.body));
    expect(!again, `${who}: its body is that of an earlier message; a replay`);
    expect(body.length === size, `${who}: expected a body of ${size} bytes as its header says, found ${body.length}`);
    const readers = row.sealed ? sealedFor(body) : head.header.recipients;
    expect(sameNames(readers, head.header.recipients), `${who}: expected it sealed to the receivers that its header names, found others`);
    await this.statements.read(head, body);
  }

  // A file with a sample of rounds leaves out what nobody can read here, and the sums of the other rounds.
  #skips(header, row) {
    const { sample } = this.terms;
    if (sample === null) return false;
    const ceremony = row.when === "key ceremony" && row.kind !== "ceremony approval";
    return header.sealed || ceremony || (row.kind === "sum" && !sample.includes(header.position.round));
  }

  #find(digest, who, most) {
    const name = hex(digest),
      blob = this.blobs.get(name);
    if (blob === undefined) return null;
    expect(blob.length <= most, `${who}: its body is larger than ${most} bytes`);
    expect(same(sha256(blob), digest), `${who}: its blob ${name.slice(0, 16)} was replaced`);
    return blob;
  }

  #need(digest, who, most) {
    const blob = this.#find(digest, who, most);
    expect(blob !== null, `${who}: its blob ${hex(digest).slice(0, 16)} is missing`);
    return blob;
  }

  async #unsent({ head }) {
    await this.conversation.take(head, false);
    this.unsent += 1;
  }

  // A refusal or an absence: unsigned, but of a party of this run, at a place that the record reached.
  #note({ party, step, position, reason }) {
    const { conversation } = this,
      { rounds } = conversation.experiment,
      { attempts, reason: longest } = this.terms.limits;
    for (const [name, said] of [["step", step], ["text", reason]])
      expect([...said].length <= longest && PRINTABLE.test(said), `note: expected a ${name} of one printable line of at most ${longest} characters`);
    expect(this.#isParty(party), `note: expected a party of this run, found ${party.slice(0, 40)}`);
    const reached = Math.min(conversation.applied.size + 1, rounds),
      newest = conversation.newest + attempts + 1;
    const within = (value, low, high) => low <= value && value <= high;
    const inside = within(position.round, 0, reached) && within(position.epoch, 0, newest) && within(position.attempt, 1, attempts);
    expect(inside, `note: expected a place up to round ${reached}, found ${placeName(position)}`);
    if (reason.toLowerCase().split(/\s+/).join(" ").includes(this.terms.lacked)) this.#checkObjected(party, position, reason);
    this.notes += 1;
  }

  // The signed objection decides whose update the auditor lacks: a note that says so names one of these clients.
  #checkObjected(party, position, reason) {
    const place = this.conversation.places.get(placeName(position));
    const objected = place?.said.get("objection")?.size > 0;
    expect(objected, `note: expected an objection of the auditor before it, found none; it names ${party}`);
    const named = place.lacking ?? [party];
    const told = named.includes(party) && reason === this.terms.lacking.replace("client-1", party);
    expect(told, `note: the auditor's objection names ${named.join(", ")}; the note about ${party} names another client`);
  }

  #isParty(name) {
    const { conversation } = this,
      { clients } = conversation.experiment;
    if (["kms", "coordinator", "auditor"].includes(name)) return true;
    if ([...conversation.rosters.keys()].some((epoch) => conversation.clients(epoch).includes(name))) return true;
    const found = /^client-([1-9][0-9]{0,3})$/.exec(name);
    return found !== null && Number(found[1]) <= clients;
  }

  async #close(end) {
    const { conversation } = this;
    conversation.finish();
    expect(end.count === this.count && same(end.head, this.head), `closing: expected ${this.count} lines before it, it counts ${end.count}`);
    const roster = conversation.rosters.get(conversation.active),
      clients = conversation.clients(conversation.active),
      signers = end.signatures.map(([name]) => name);
    const inOrder = sameNames(signers, clients.filter((name) => signers.includes(name)));
    expect(inOrder, `closing: expected signatures of the clients, in order, found ${signers.join(", ").slice(0, 200)}`);
    expect(
      signers.length >= conversation.need,
      `closing: expected at least ${conversation.need} clients' signatures (min_cohort), found ${signers.length}`,
    );
    const statement = closingStatement(conversation.id, end.count, end.head);
    for (const [name, signature] of end.signatures) {
      const signed = await isSigned(memberOf(roster, name).signing, signature, statement);
      expect(signed, `closing: the signature is not ${name}'s`);
    }
    this.signers = [signers.length, clients.length];
    this.closed = true;
  }

  // Compare a roster with the pin; with a pin of `hefl run` a later epoch's by its experiment and its KMS.
  #pinned(roster) {
    this.rosters.push({ epoch: roster.epoch, digest: hex(rosterDigest(roster)), fingerprint: hex(fingerprint(roster)) });
    const { pin } = this;
    if (pin === null || pin.typed) return;
    const kms = roster.members.filter((member) => member.role === "kms").map((member) => hex(member.signing));
    expect(roster.experiment === pin.experiment, `roster: expected experiment ${pin.experiment.slice(0, 16)}, found ${roster.experiment.slice(0, 16)}`);
    expect(sameNames(kms, [pin.kms_signing_key]), `roster: expected the pinned KMS key ${pin.kms_signing_key.slice(0, 16)}, found another`);
    const other = roster.epoch === pin.epoch && this.rosters.at(-1).digest !== pin.roster_digest;
    expect(!other, `roster of epoch ${pin.epoch}: expected digest ${pin.roster_digest.slice(0, 16)}, found another; somebody substituted a member`);
  }

  finish(heads) {
    const { conversation, pin } = this;
    expect(conversation !== null, "line 1: expected an opening line, found nothing");
    expect(this.closed, `line ${this.count}: expected a closing line at the end; the tail is cut off`);
    // Every roster is signed by the one KMS, whose key is in each fingerprint: one that fits vouches for all.
    const typed = !pin?.typed || this.rosters.some((one) => [one.digest, one.fingerprint].includes(pin.typed));
    expect(typed, "roster: expected the one that was typed, found none such on record; somebody substituted a member");
    const met = pin === null || pin.typed || conversation.rosters.has(pin.epoch);
    expect(met, `roster: expected the pinned one of epoch ${pin?.epoch}, found none on record`);
    if (heads === null) return;
    expect(heads.experiment === conversation.id, "heads: expected those of this experiment, found others; take this run's");
    for (const [name, [number, last]] of Object.entries(heads.heads)) {
      const [found, digest] = conversation.chains.get(name) ?? ["nothing", new Uint8Array()];
      expect(
        found === number && hex(digest) === last,
        `heads: ${name} remembers message ${number} as its last, the record ends at ${found}; the tail is cut off`,
      );
    }
  }

  verdict() {
    const { conversation, statements } = this;
    const rounds = [...(conversation?.applied.keys() ?? [])];
    return {
      lines: this.count, messages: this.messages, unsent: this.unsent, notes: this.notes, signers: this.signers, rounds: rounds.length,
      receipts: rounds.map((round) => conversation.receipts.get(round).size), contents: statements !== null,
      added: statements?.added ?? [], authenticated: this.pin !== null, rosters: this.rosters, left: this.left, heads: null,
    };
  }
}

// The one body that every later check needs stands in its line.
async function readRoster({ head, inline }) {
  const { header } = head;
  expect(header.sender === "kms" && inline !== null, "roster: expected the KMS's roster in the line itself");
  expect(same(sha256(inline), header.content_digest), "roster: its bytes are not those that the KMS signed");
  const roster = unpack(Roster, inline);
  await checkVouchers(roster);
  const fits = roster.epoch === header.position.epoch && roster.experiment === header.experiment;
  expect(fits, "roster: the header and the roster name different epochs or experiments");
  return roster;
}

// A client's costs are told to nobody; a keyless party's are seconds.
function checkWork({ head, work }, who) {
  expect(!(head.header.sender.startsWith("client-") && work.length), `${who}: expected no cost of a client on record`);
  const costs = work.length <= 64 && work.every((one) => [...one.step].length <= 64 && one.seconds >= 0 && one.cpu_seconds >= 0);
  expect(costs, `${who}: expected costs in seconds from 0 on, found others`);
}

// What a reader typed or pasted: 64 digits of a roster's digest or fingerprint, or the file that `hefl run` wrote.
export function readPin(typed) {
  const plain = typed.replace(/\s/g, "").toLowerCase();
  if (/^[0-9a-f]{64}$/.test(plain)) return { typed: plain };
  const pin = parse(typed);
  const digits = /^[0-9a-f]{64}$/;
  const usable =
    pin.format === "hefl/roster-pin/1" && Number.isInteger(pin.epoch) && [pin.experiment, pin.kms_signing_key, pin.roster_digest].every((one) => digits.test(one));
  expect(usable, "roster: expected 64 hexadecimal digits, or the text of a .roster file");
  return pin;
}

export function readHeads(typed) {
  const heads = parse(typed);
  const usable = heads.format === "hefl/heads/1" && Object.values(heads.heads ?? {}).length > 0;
  expect(usable && typeof heads.experiment === "string", "heads: expected the text of a .heads file");
  return heads;
}

function parse(typed) {
  try {
    const found = JSON.parse(typed);
    return found !== null && typeof found === "object" ? found : {};
  } catch {
    return {};
  }
}
