// The conversation as a grammar: the protocol's table decides whether each signed header may stand where it stands.
// Only headers are read here (Python: federation/record/grammar.py and protocol_table.py, from which the table comes).

import { digest, same, text as utf8 } from "./hash.js";
import {
  CiphertextVector, Commitment, Header, PartialDecryption, Ready, Receipt, alike, bytesBytes, checkSignature, clientsOf, custodyOf,
  floorOf, headerDigest, idOf, listHead, looksLikeADigest, sameNames, samePlace,
} from "./messages.js";
import { Break, expect, pack } from "./shapes.js";

const NOTHING = new Uint8Array();
export const placeName = ({ epoch, round, attempt }) => `epoch ${epoch}, round ${round}, attempt ${attempt}`;
export const what = (header) => `${header.kind.slice(0, 40)} of ${header.sender.slice(0, 40)}`;
export const has = (names, name) => names.includes(name);

// The messages of one place: an epoch's opening, or one attempt of a round. `said`: kind to slot to signed header, null once the
// round is over. `slots`: all that was made, also what nobody got. `due`: kinds to who has to say them. `contents`: kinds to the one
// content that they may have. `lacking`: whose updates the auditor's objection names.
class Place {
  said = new Map();
  slots = new Set();
  plan = NOTHING;
  state = NOTHING;
  listed = NOTHING;
  after = null;
  due = new Map();
  contents = new Map();
  complete = new Set();
  lacking = null;

  header(kind, sender) {
    return this.said.get(kind)?.get(sender) ?? null;
  }

  close() {
    for (const slots of this.said.values()) for (const slot of slots.keys()) slots.set(slot, null);
  }
}

export class Conversation {
  // `terms`: the protocol's table and the preset's numbers, as Python wrote them into the file.
  constructor(manifest, kms, terms) {
    this.manifest = manifest;
    this.experiment = manifest.experiment;
    this.id = idOf(manifest);
    this.custody = custodyOf(this.experiment);
    this.collective = this.custody.threshold > 1;
    this.need = floorOf(this.experiment);
    this.terms = terms;
    this.rows = new Map(terms.rows.map((row) => [row.kind, row]));
    this.rosters = new Map();
    this.places = new Map();
    this.chains = new Map();
    this.active = this.newest = 0;
    this.current = null;
    this.applied = new Map();
    this.receipts = new Map();
    this.kms = kms;
    this.signing = new Map();
    this.keys = new Map();
    this.open = [];
    this.state = digest(utf8("start"), utf8(this.id));
  }

  row(kind) {
    expect(this.rows.has(kind), "expected a kind of message that the protocol has, such as plan; found another");
    return this.rows.get(kind);
  }

  admits(under) {
    if (under === "collective") return this.collective;
    return under === "any" || this.custody.dealerFree === (under === "dealer-free");
  }

  before(row) {
    return row.after.findLast((kind) => this.admits(this.row(kind).under)) ?? "";
  }

  clients(epoch) {
    return this.rosters.has(epoch) ? clientsOf(this.rosters.get(epoch)) : [];
  }

  // Learn the members of an epoch, before the roster's own line is taken.
  enter(roster) {
    const where = `roster of epoch ${roster.epoch}`;
    for (const { name, signing } of roster.members) {
      if (!this.signing.has(name)) this.signing.set(name, signing);
      expect(same(this.signing.get(name), signing), `${where}: ${name} signs with another key than before`);
    }
    const names = (role) => roster.members.filter((member) => member.role === role).map((member) => member.name);
    const oneEach = ["kms", "coordinator", "auditor"].every((role) => sameNames(names(role), [role]));
    const kms = roster.members.find((member) => member.name === "kms");
    expect(
      oneEach && sameMember(kms, this.kms) && roster.members.length === 3 + names("client").length,
      `${where}: expected the KMS of the opening line, one coordinator, one auditor and clients`,
    );
    expect(roster.epoch > this.newest, `${where}: expected one after ${this.newest}; a replay`);
    this.newest = roster.epoch;
    this.rosters.set(roster.epoch, roster);
  }

  async take(head, sent) {
    this.note(head, ...(await this.judge(head, sent)), sent);
  }

  // Check one message; gives its row in the table and its place. A refused message leaves no trace.
  async judge(head, sent) {
    const { header } = head,
      row = this.row(header.kind);
    await this.#checkOrigin(head, row, sent);
    this.#checkNumber(header);
    this.#checkReceivers(header, row, sent);
    const place = this.#place(header, row, sent);
    this.#checkSlot(header, row, place);
    this.#checkOrder(header, place, sent);
    this.#checkObjection(header, place, sent);
    this.#checkBefore(header, row, place);
    this.#checkLabels(header, row, place);
    return [row, place];
  }

  note(head, row, place, sent) {
    const { header } = head;
    this.chains.set(header.sender, [header.sequence, headerDigest(header)]);
    place.slots.add(slotName(header, row));
    if (sent) this.#note(head, row, place);
  }

  placeOf(position) {
    const name = placeName(position);
    expect(this.places.has(name), `expected something planned for ${name}, found nothing`);
    return this.places.get(name);
  }

  // -- checks

  async #checkOrigin(head, row, sent) {
    const { header } = head,
      { epoch } = header.position;
    const roster = this.rosters.get(epoch);
    const member = header.sender === "kms" ? this.kms : roster?.members.find((one) => one.name === header.sender);
    expect(
      member && !(sent && !roster),
      `${what(header)}: expected a party of the roster of epoch ${epoch}, found none such`,
    );
    await checkSignature(head, member.signing);
    expect(header.experiment === this.id, `${what(header)}: belongs to another experiment`);
    this.#checkRow(header, row, member.role);
  }

  // Whether a party of this role may say this in this form: no field is left in which a client could write what it likes.
  #checkRow(header, row, role) {
    const said = what(header);
    expect(role === row.sender, `${said}: expected it from the ${row.sender}, found it signed by the ${role}`);
    expect(this.admits(row.under), `${said}: there is none under custody ${this.experiment.custody}`);
    expect(header.sealed === row.sealed, `${said}: expected it ${row.sealed ? "sealed" : "in the open"}`);
    const { parameters } = this.manifest,
      blocks = has(["update", "sum", "confirmation"], row.kind) ? this.terms.blocks : 0;
    const [length, count] = row.when === "round" ? [parameters, blocks] : [0, 0];
    expect(
      header.length === length && header.blocks === count,
      `${said}: expected d = ${length} in ${count} ciphertexts, found d = ${header.length} in ${header.blocks}`,
    );
    const room = row.sender === "client" ? this.#contentBytes(row.kind, header.position) : null;
    const [least, most] = room ?? [0, row.most_bytes];
    expect(
      least <= header.content_nbytes && header.content_nbytes <= most,
      `${said}: expected ${least} to ${most} bytes of content, found ${header.content_nbytes}`,
    );
    expect(looksLikeADigest(header.content_digest), `${said}: expected the SHA-256 of its content, found bytes that are none`);
    const short = header.sender === "coordinator" || pack(Header, header).length <= this.terms.limits.header;
    expect(short, `${said}: expected a header of at most ${this.terms.limits.header} bytes`);
    const labels = { key: header.key_id, plan: header.plan, state: header.state, list: header.commitments };
    const more = Object.keys(labels).find((name) => labels[name].length && !has(row.names, name));
    expect(!more, `${said}: it names a ${more}, which a ${row.kind} does not`);
  }

  // Least and most bytes of a client's content, null where the size is free.
  #contentBytes(kind, position) {
    const digest32 = new Uint8Array(32);
    const commitment = (nbytes, spares) =>
      pack(Commitment, { ciphertext_digest: digest32, nbytes, spares: Array(spares).fill(digest32) }).length;
    if (kind === "update") return this.uploadBytes(position.epoch);
    if (kind === "commitment") {
      const later = this.collective ? this.terms.limits.attempts - position.attempt : 0;
      return later < 0 ? [1, 0] : this.uploadBytes(position.epoch).map((nbytes) => commitment(nbytes, later));
    }
    if (kind === "partial") {
      const { opened, partial } = this.terms,
        { threshold } = this.custody;
      const blocks = listHead(opened) - listHead(0) + opened * bytesBytes(partial);
      const label = (holder) => ({
        key_id: this.#keyId(position.epoch), index: holder, active: Array(threshold).fill(holder), total_digest: digest32,
        blocks: [],
      });
      return [1, 1000].map((holder) => pack(PartialDecryption, label(holder)).length + blocks);
    }
    const fixed = { ready: [Ready, { sum: digest32, confirmation: digest32 }], receipt: [Receipt, { sum: digest32, state: digest32 }] };
    if (!fixed[kind]) return null;
    const size = pack(...fixed[kind]).length;
    return [size, size];
  }

  // Least and most bytes of an upload under the key of this epoch.
  uploadBytes(epoch) {
    const { fresh, tagged, bound } = this.terms;
    const label = (terms) => ({
      key_id: this.#keyId(epoch), length: this.manifest.parameters, integers: 2, tagged, bound, max_terms: terms, terms: 1, blocks: [],
    });
    const head = listHead(fresh.length) - listHead(0);
    return [0, 1].map(
      (end) => head + pack(CiphertextVector, label([1, 1000][end])).length + fresh.reduce((sum, one) => sum + bytesBytes(one[end]), 0),
    );
  }

  #keyId(epoch) {
    return { scheme: this.terms.family, preset: this.terms.preset, epoch, fingerprint: "0".repeat(64) };
  }

  // Each party numbers its messages from 0 and chains them, so none may be missing or repeated.
  #checkNumber(header) {
    const [number, previous] = this.chains.get(header.sender) ?? [-1, NOTHING];
    expect(header.sequence > number, `${what(header)}: number ${header.sequence} again, a replay`);
    expect(
      header.sequence === number + 1,
      `${what(header)}: expected number ${number + 1} of ${header.sender}, found ${header.sequence}; what it said before was taken out`,
    );
    expect(same(header.previous, previous), `${what(header)}: does not follow its sender's previous message`);
  }

  #checkReceivers(header, row, sent) {
    const { epoch } = header.position;
    if (!sent && !this.rosters.has(epoch)) return;
    const clients = this.clients(epoch),
      others = clients.filter((name) => name !== header.sender),
      to = header.recipients;
    const groups = { "all clients": clients, "all other clients": others };
    const one = { "one client": clients, "one other client": others }[row.receivers[0]];
    const fits = one
      ? to.length === 1 && has(one, to[0])
      : sameNames(to, row.receivers.flatMap((name) => groups[name] ?? [name]));
    expect(fits, `${what(header)}: expected it to ${row.receivers.join(", ")}, found ${to.join(", ").slice(0, 200)}`);
  }

  // Its place. A sent message belongs to the open round; an undelivered one may be recorded later.
  #place(header, row, sent) {
    const { position } = header;
    if (row.when !== "round") return this.#opening(header, row, sent);
    if (row.kind === "plan") return this.#planned(header);
    expect(
      !sent || (this.current && samePlace(position, this.current)),
      `${what(header)}: expected ${this.current ? placeName(this.current) : "no round yet"}, found ${placeName(position)}; out of order or replayed`,
    );
    return this.placeOf(position);
  }

  #opening(header, row, sent) {
    const { position } = header,
      name = placeName(position);
    expect(position.round === 0 && position.attempt === 1, `${what(header)}: expected round 0, found ${name}`);
    if (sent) {
      const within = this.current && !this.applied.has(this.current.round);
      expect(position.epoch === this.newest, `${what(header)}: expected epoch ${this.newest}, found ${position.epoch}; it is over`);
      expect(
        !(has(["roster", "epoch"], row.kind) && within),
        `${what(header)}: in the middle of round ${this.current?.round}; a key is changed between two`,
      );
      expect(
        row.kind === "share" || position.epoch !== this.active,
        `${what(header)}: the key of epoch ${position.epoch} was announced before`,
      );
    }
    if (!this.places.has(name)) {
      this.places.set(name, new Place());
      this.open.push(this.places.get(name));
    }
    return this.places.get(name);
  }

  // A plan opens its place: the round after the last one that was applied, or a further attempt of it.
  #planned(header) {
    const { position } = header,
      number = this.applied.size + 1,
      { attempts } = this.terms.limits;
    const count = this.receipts.get(number)?.size ?? 0;
    expect(
      count === 0,
      `${what(header)}: expected receipts of at least ${this.need} clients (min_cohort) of round ${number} before another plan, found ${count}`,
    );
    expect(position.epoch === this.active, `${what(header)}: expected epoch ${this.active}, found ${position.epoch}`);
    expect(position.round === number, `${what(header)}: expected round ${number}, found ${position.round}`);
    expect(number <= this.experiment.rounds, `${what(header)}: expected ${number - 1} rounds as agreed, found one more`);
    const last = this.current?.round === number ? this.current.attempt : 0;
    expect(
      last < position.attempt && position.attempt <= attempts,
      `${what(header)}: expected an attempt after ${last}, at most ${attempts}, found ${position.attempt}; a replay`,
    );
    const place = new Place();
    place.plan = headerDigest(header);
    place.state = header.state;
    const opened = this.before(this.row("plan"));
    const opening = this.placeOf({ epoch: position.epoch, round: 0, attempt: 1 });
    place.said.set(opened, opening.said.get(opened) ?? new Map());
    if (opened === "share") place.due.set("share", this.clients(position.epoch).map((name) => `kms to ${name}`));
    return place;
  }

  #checkSlot(header, row, place) {
    expect(
      !place.slots.has(slotName(header, row)),
      `${what(header)}: a second one for ${placeName(header.position)}; one is said`,
    );
    const due = place.due.get(row.kind);
    expect(!due || has(due, slot(header, row)), `${what(header)}: expected it from ${due?.join(", ")} only; it was not asked`);
  }

  // An objection comes before the sum and ends the attempt; one that nobody got keeps the auditor from confirming.
  // Commitments stand in the roster's order: whoever has more examples trains longer, so theirs of arrival would tell.
  #checkOrder(header, place, sent) {
    if (!sent || header.kind !== "commitment") return;
    const clients = this.clients(header.position.epoch),
      later = clients.slice(clients.indexOf(header.sender)).find((name) => place.said.get("commitment")?.has(name));
    expect(
      later === undefined,
      `${what(header)}: expected commitments in the roster's order, found it after ${later}'s; times of training would show`,
    );
  }

  #checkObjection(header, place, sent) {
    const objected = Array.from(place.slots).some((name) => name.startsWith("objection "));
    const over = header.kind === "sum" ? place.said.get("objection")?.size > 0 : header.kind === "confirmation" && objected;
    expect(!over, `${what(header)}: the auditor lacks updates of this list; the attempt was over`);
    const late = place.said.get("confirmation")?.size || (sent && place.said.get("sum")?.size);
    expect(
      !(header.kind === "objection" && late),
      `${what(header)}: expected it before the sum, found it after; the members were fixed`,
    );
  }

  // The message that it answers is on record, from all senders where the table says so.
  #checkBefore(header, row, place) {
    const before = this.before(row),
      { epoch } = header.position;
    if (!before || place.complete.has(before) || !this.rosters.has(epoch)) return;
    const missing = this.#missing(before, place, epoch);
    const some = place.said.get(before)?.size > 0 || place.due.has(before);
    const who = missing.length ? ` of ${missing.slice(0, 5).join(", ")}` : "";
    expect(
      !(missing.length && row.after_all) && some,
      `${what(header)}: expected the ${before}${who} before it, found none on record`,
    );
    place.complete.add(before);
  }

  // The senders that have to say this here and have not.
  #missing(kind, place, epoch) {
    const row = this.row(kind),
      clients = this.clients(epoch);
    let due = row.sender === "client" ? [] : [row.sender];
    if (place.due.has(kind)) due = place.due.get(kind);
    else if (row.when === "key ceremony") {
      const pairs = clients.flatMap((one) => clients.filter((other) => other !== one).map((other) => `${one} to ${other}`));
      due = row.to_each ? pairs : clients;
    }
    return due.filter((name) => !place.said.get(kind)?.has(name));
  }

  // Key, plan, state and list are those of the place.
  #checkLabels(header, row, place) {
    const forks = row.kind === "plan" && this.state !== null && !same(this.state, header.state);
    expect(!forks, `${what(header)}: expected the state after the round before, found another; history forks`);
    const key = row.kind === "epoch" ? header.key_id : (this.keys.get(header.position.epoch) ?? header.key_id);
    const listed = row.kind === "commitments" ? header.commitments : place.listed;
    const pairs = {
      key: [utf8(key), utf8(header.key_id)], plan: [place.plan, header.plan], state: [place.state, header.state],
      list: [listed, header.commitments],
    };
    for (const [name, [expected, found]] of Object.entries(pairs)) {
      expect(
        same(found, has(row.names, name) ? expected : NOTHING),
        `${what(header)}: it names another ${name} than this place has`,
      );
    }
    const content = place.contents.get(row.kind);
    expect(!content || same(content, header.content_digest), `${what(header)}: it says something else than what was sent here`);
  }

  // -- what follows

  #note(head, row, place) {
    const { header } = head,
      { position } = header;
    if (!place.said.has(row.kind)) place.said.set(row.kind, new Map());
    place.said.get(row.kind).set(slot(header, row), head);
    if (row.kind === "epoch") {
      this.active = position.epoch;
      this.keys.set(position.epoch, header.key_id);
    } else if (row.kind === "plan") {
      if (this.current && this.current.round < position.round) {
        this.open.forEach((earlier) => earlier.close());
        this.open = [];
      }
      this.places.set(placeName(position), place);
      this.open.push(place);
      this.current = position;
      this.state = header.state;
    } else if (row.kind === "commitments") place.listed = header.commitments;
    else if (row.kind === "receipt") this.#apply(header, place);
  }

  // All receipts name the same sum and state; with those of min_cohort clients the round is over.
  #apply(header, place) {
    const { round } = header.position;
    if (!this.receipts.has(round)) this.receipts.set(round, new Set());
    const said = this.receipts.get(round).add(header.sender);
    if (said.size >= this.need && !this.applied.has(round)) this.applied.set(round, header.position);
    if (!place.contents.has("receipt")) place.contents.set("receipt", header.content_digest);
    this.state = place.after;
  }

  finish() {
    const done = this.applied.size,
      count = this.receipts.get(done + 1)?.size ?? 0,
      { rounds } = this.experiment;
    expect(!count, `expected receipts of at least ${this.need} clients (min_cohort) of round ${done + 1}, found ${count}`);
    expect(done === rounds, `expected ${rounds} rounds as agreed, found ${done} that were applied`);
  }
}

const slot = (header, row) => (row.to_each ? `${header.sender} to ${header.recipients[0]}` : header.sender);
const slotName = (header, row) => `${row.kind} ${slot(header, row)}`;
const sameMember = (a, b) =>
  a.name === b.name && a.role === b.role && ["signing", "sealing", "voucher"].every((key) => same(a[key], b[key]));
export { Break, alike };
