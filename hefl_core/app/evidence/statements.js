// The bodies of a record, compared with each other: epochs, plans, lists, sums, requests. Every check is one that an honest party
// makes when the message arrives (Python: federation/record/statements.py, terms/admission.py, keys/epochs.py, keys/audit.py).

import { digest, same, sha256, text as utf8 } from "./hash.js";
import { has, placeName } from "./conversation.js";
import {
  Acknowledgement, BODIES, CeremonyResult, CiphertextVector, Commitment, CommitmentList, Confirmation, DecryptionRequest,
  EncryptedSum, EpochAnnouncement, EpochRecord, Objection, PublicKey, Quorum, Ready, Receipt, RoundPlan, SignedHeader, alike,
  auditDigest, auditSigned, checkSignature, clientsOf, contentDigest, different, epochDigest, headerDigest, isSigned, listDigest,
  looksLikeADigest, memberOf, rosterDigest, roundsPerEpoch, sameNames, samePlace, senders, spellKey,
} from "./messages.js";
import { expect, pack, unpack } from "./shapes.js";
import { canAdd, openSum } from "./sums.js";

const NOTHING = new Uint8Array();
const subset = (names, all) => names.every((name) => has(all, name));

export class Statements {
  // `need(digest, what, most)` gives a blob of the record.
  constructor(conversation, terms, need) {
    this.conversation = conversation;
    this.manifest = conversation.manifest;
    this.terms = terms;
    this.need = need;
    this.added = []; // rounds whose sums were added again
    this.records = [];
    this.audit = [];
    this.publicKeys = new Map();
    this.attempts = new Map();
    this.plan = NOTHING;
    this.members = null;
    this.first = null;
  }

  async read(head, body) {
    const row = this.conversation.row(head.header.kind);
    if (!row.sealed && BODIES[row.body]) unpack(BODIES[row.body], body);
    const reader = {
      epoch: () => this.#epoch(head, unpack(EpochAnnouncement, body)),
      plan: () => this.#planned(head, unpack(RoundPlan, body)),
      commitment: () => this.#committed(head, unpack(Commitment, body)),
      commitments: () => this.#list(head, unpack(CommitmentList, body)),
      update: () => this.update(head),
      objection: () => this.#objection(head, unpack(Objection, body)),
      sum: () => this.#sum(head, unpack(EncryptedSum, body)),
      confirmation: () => this.#confirmation(head),
      ready: () => this.#ready(head),
      request: () => this.#request(head, unpack(DecryptionRequest, body)),
    }[row.kind];
    await reader?.();
  }

  #place(position) {
    return this.conversation.placeOf(position);
  }

  #attempt(position) {
    const found = this.attempts.get(placeName(position));
    expect(found, `${placeName(position)}: no plan of this attempt was read`);
    return found;
  }

  // -- keys

  async #epoch({ header }, announcement) {
    const { record, public_key: key, history, audit } = announcement,
      where = `epoch ${record.epoch}`;
    this.#checkRecord(record, header);
    this.#checkKey(record, key);
    expect(header.key_id === spellKey(key.id), `${where}: header and key name different keys`);
    const known = history.length === this.records.length && history.every((one, at) => alike(EpochRecord, one, this.records[at]));
    expect(known, `${where}: its history is not that of the epochs on record`);
    this.#accept(record);
    await this.#checkApproved(announcement);
    const kms = memberOf(this.conversation.rosters.get(record.epoch), "kms");
    await this.#checkAudit(audit, kms.signing);
    this.publicKeys.set(record.epoch, key);
  }

  #checkRecord(record, header) {
    const { conversation, manifest } = this,
      { epoch } = header.position;
    const roster = conversation.rosters.get(epoch),
      holders = clientsOf(roster).length;
    const { threshold, dealerFree } = conversation.custody;
    const agrees =
      record.epoch === epoch &&
      record.experiment === conversation.id &&
      record.preset === this.terms.preset &&
      same(record.roster_digest, rosterDigest(roster)) &&
      threshold <= holders &&
      alike(Quorum, record.quorum, { threshold, holders }) &&
      (record.dealer === "dealer-free") === dealerFree;
    expect(agrees, `epoch ${epoch}: the record is of another epoch, roster, preset or custody than this run's`);
    const number = conversation.applied.size + 1,
      every = roundsPerEpoch(manifest.experiment);
    const last = Math.min(manifest.experiment.rounds, (Math.floor((number - 1) / every) + 1) * every);
    const within = record.first_round === number && number <= record.last_round && record.last_round <= last;
    expect(
      within,
      `epoch ${epoch}: expected rounds ${number} to at most ${last}, found ${record.first_round} to ${record.last_round}`,
    );
  }

  // The public key is the one that the record announces, made with the preset's numbers.
  #checkKey(record, key) {
    const where = `epoch ${record.epoch}`,
      { id } = key;
    expect(same(sha256(pack(PublicKey, key)), record.public_key_digest), `${where}: expected another key`);
    const fits = id.epoch === record.epoch && id.preset === record.preset && alike(Quorum, key.quorum, record.quorum);
    expect(fits, `${where}: record and key contradict each other`);
    expect(same(record.preset_digest, this.terms.preset_digest), `${where}: the preset has other numbers here than at the KMS`);
    const print = digest(this.terms.preset_digest, pack(Quorum, key.quorum), key.material);
    expect(hex(print) === id.fingerprint, `${where}: expected a key with another fingerprint`);
  }

  // Epochs only go up, each record follows the one before.
  #accept(record) {
    const where = `epoch ${record.epoch}`,
      newest = this.records.at(-1);
    expect(!newest || record.epoch > newest.epoch, `${where}: expected one after ${newest?.epoch}; a rollback to an older key`);
    const before = newest ? epochDigest(newest) : NOTHING;
    expect(same(record.previous, before), `${where}: expected it to follow the record before it`);
    expect(!newest || record.first_round >= newest.first_round, `${where}: expected a later first round`);
    this.records.push(record);
  }

  // A key without a dealer: every client approved it, and the ceremony that is on record.
  async #checkApproved({ record, approvals }) {
    const where = `epoch ${record.epoch}`,
      free = record.dealer === "dealer-free";
    expect((approvals !== null) === free, `${where}: dealer ${record.dealer} and its approvals contradict each other`);
    if (!free) return;
    const roster = this.conversation.rosters.get(record.epoch),
      clients = clientsOf(roster),
      place = this.#place({ epoch: record.epoch, round: 0, attempt: 1 }),
      { result, headers } = approvals;
    expect(sameNames(senders(headers), clients), `ceremony: expected the approval of ${clients.join(", ")}`);
    expect(
      result.experiment === roster.experiment && result.epoch === roster.epoch,
      `ceremony: expected epoch ${roster.epoch}, found approvals for ${result.epoch}`,
    );
    const content = contentDigest(CeremonyResult, result);
    for (const signed of headers) {
      const { header } = signed;
      await checkSignature(signed, memberOf(roster, header.sender).signing);
      const fits =
        header.kind === "ceremony approval" &&
        header.experiment === roster.experiment &&
        samePlace(header.position, { epoch: roster.epoch, round: 0, attempt: 1 }) &&
        same(header.content_digest, content);
      expect(fits, `ceremony: ${header.sender} approved another result`);
      const recorded = alike(SignedHeader, place.header("ceremony approval", header.sender), signed);
      expect(recorded, `${where}: it shows other approvals than those on record`);
    }
    const steps = this.terms.rows.filter((row) => row.when === "key ceremony" && row.kept && row.kind !== "ceremony approval");
    const said = steps.flatMap((row) =>
      clients.map((name) => {
        const found = place.header(row.kind, name);
        expect(found, `${row.kind} of ${name}: it is not on record`);
        return headerDigest(found.header);
      }),
    );
    const expected = {
      experiment: this.conversation.id, epoch: record.epoch, preset: record.preset, quorum: record.quorum,
      public_key_digest: record.public_key_digest, transcript: digest(utf8("hefl/ceremony/transcript"), ...said),
      tag_key_digest: result.tag_key_digest,
    };
    expect(
      alike(CeremonyResult, result, expected),
      `${where}: the clients approved another key, or another ceremony than this one`,
    );
  }

  // Numbers, chain and the newest signature, which covers all before it; and the log goes on where the one before ended.
  async #checkAudit(entries, key) {
    let previous = NOTHING;
    const heads = [previous];
    for (const [number, entry] of entries.entries()) {
      const follows = entry.sequence === number && same(entry.previous, previous);
      expect(follows, `audit log: expected entry ${number} after the one before it, found entry ${entry.sequence}`);
      previous = auditDigest(entry);
      heads.push(previous);
    }
    const last = entries.at(-1);
    if (last) {
      const signed = await isSigned(key, last.signature, auditSigned(last));
      expect(signed, `audit log: entry ${entries.length - 1} (${last.action}) is not signed by the KMS`);
    }
    const extended = entries.length >= this.audit.length && same(heads[this.audit.length], this.audit.at(-1) ?? NOTHING);
    expect(extended, "audit log: it was cut, or the KMS rewrote its past");
    this.audit = heads.slice(1);
  }

  // -- a round

  #planned({ header }, plan) {
    const { conversation, manifest, terms } = this,
      { position } = header,
      { experiment } = manifest,
      clients = conversation.clients(position.epoch);
    const record = this.#record(position.epoch);
    const active = record === this.records.at(-1) && record.first_round <= position.round && position.round <= record.last_round;
    expect(active, `epoch ${position.epoch} does not serve round ${position.round}; rotate`);
    const agreed =
      same(plan.epoch_record, epochDigest(record)) &&
      same(plan.previous, this.plan) &&
      plan.bound === terms.bound &&
      plan.examples_max === manifest.examples_max &&
      plan.length === manifest.parameters;
    expect(agreed, "plan: it is not after the plan before it, under this key and on the agreed terms");
    const cohort = subset(plan.cohort, clients) && different(plan.cohort);
    expect(cohort, "plan: expected a cohort of clients of the roster, found another");
    const enough = plan.max_terms >= plan.cohort.length && plan.min_cohort >= conversation.need;
    expect(enough, "plan: its max_terms or its min_cohort is below what was agreed");
    expect((plan.theta_0 !== null) === (position.round === 1), "plan: expected θ_0 in round 1 and in no other");
    if ([...this.attempts.values()].every((earlier) => earlier.round !== position.round)) {
      this.attempts = new Map();
      this.members = this.first = null;
    }
    const attempt = { round: position.round, plan, listed: null, sum: null, confirmation: null };
    this.attempts.set(placeName(position), attempt);
    this.plan = headerDigest(header);
  }

  #record(epoch) {
    const record = this.records.find((one) => one.epoch === epoch);
    expect(record, `epoch ${epoch}: no record was accepted`);
    return record;
  }

  #committed({ header }, { ciphertext_digest: first, nbytes, spares }) {
    const [least, most] = this.conversation.uploadBytes(header.position.epoch);
    const who = `commitment of ${header.sender}`;
    expect(least <= nbytes && nbytes <= most, `${who}: expected an upload of ${least} to ${most} bytes, found ${nbytes}`);
    expect([first, ...spares].every(looksLikeADigest), `${who}: expected SHA-256 digests, found bytes that are none`);
  }

  #list({ header }, listed) {
    const { position } = header,
      { plan } = this.#attempt(position),
      place = this.#place(position),
      names = senders(listed.listed);
    const members = different(names) && subset(names, plan.cohort);
    expect(members, `commitments: expected distinct members of the cohort, found ${names.join(", ")}`);
    expect(names.length >= plan.min_cohort, `commitments: expected at least ${plan.min_cohort} (min_cohort), found ${names.length}`);
    expect(listed.commitments.length === names.length, "commitments: another number of headers than of commitments");
    expect(same(header.commitments, listDigest(listed)), "commitments: the header names another list than the body holds");
    const inOrder = sameNames(names, plan.cohort.filter((name) => has(names, name)));
    expect(inOrder, "commitments: expected them in the cohort's order, found another order");
    expect(
      this.members === null || sameNames(this.members, names),
      `commitments: expected the members of this round's earlier sum (${this.members?.join(", ")}), found ${names.join(", ")}`,
    );
    listed.listed.forEach((signed, at) => this.#checkListed(signed, listed.commitments[at], position));
    this.#attempt(position).listed = listed;
    if (this.conversation.collective) this.first ??= listed;
    place.contents.set("acknowledgement", contentDigest(Acknowledgement, { listed: headerDigest(header) }));
    place.due.set("update", senders(listed.listed.filter((one) => samePlace(one.header.position, position))));
  }

  // A commitment of this attempt, or one whose upload was made in an earlier attempt of this round.
  #checkListed(signed, commitment, position) {
    const item = signed.header,
      who = `commitments: ${item.sender}'s`,
      place = this.#place(item.position);
    expect(item.position.epoch === position.epoch && item.position.round === position.round, `${who} is of another round`);
    expect(alike(SignedHeader, place.header("commitment", item.sender), signed), `${who} is not on record`);
    expect(
      same(item.content_digest, contentDigest(Commitment, commitment)),
      `commitments: what is listed for ${item.sender} is not what it signed`,
    );
    const spares = this.conversation.collective ? this.terms.limits.attempts - item.position.attempt : 0;
    expect(commitment.spares.length === spares, `commitment of ${item.sender}: expected ${spares} spares, found others`);
    if (this.first !== null) this.#checkForeseen(item, commitment);
    const made = samePlace(item.position, position) || place.header("update", item.sender) !== null;
    expect(made, `${who} is carried over without an upload in that attempt`);
  }

  // In a later attempt no client chooses anew: a commitment must be the spare on the round's first list.
  #checkForeseen(item, commitment) {
    const at = senders(this.first.listed).indexOf(item.sender),
      who = `commitment of ${item.sender}`,
      { attempt } = item.position;
    expect(at >= 0, `${who}: expected one on the first list of this round`);
    const began = this.first.listed[at].header.position.attempt;
    const spare = attempt > began ? this.first.commitments[at].spares[attempt - began - 1] : commitment.ciphertext_digest;
    expect(
      spare && same(commitment.ciphertext_digest, spare),
      `${who}: expected its spare for attempt ${attempt}, found another; chosen after uploads were seen`,
    );
  }

  // By its header alone: the ciphertext inside is read when its sum is added again.
  update({ header }) {
    const { listed } = this.#attempt(header.position);
    if (listed === null) return;
    const who = `update of ${header.sender}`,
      at = senders(listed.listed).indexOf(header.sender);
    expect(at >= 0, `${who}: no commitment was listed; commit first`);
    expect(same(header.commitments, listDigest(listed)), `${who}: made for another list of commitments`);
    const { ciphertext_digest: committed, nbytes } = listed.commitments[at];
    const kept = same(header.content_digest, committed) && header.content_nbytes === nbytes;
    expect(kept, `${who}: expected the committed ciphertext, found another`);
  }

  #objection({ header }, { listed: objected, lacking }) {
    const place = this.#place(header.position),
      published = place.header("commitments", "coordinator"),
      { listed } = this.#attempt(header.position);
    if (published !== null && listed !== null) {
      expect(same(objected, headerDigest(published.header)), "objection: expected it to the list that was published");
      const names = senders(listed.listed).filter((name) => has(lacking, name));
      expect(lacking.length && sameNames(lacking, names), "objection: expected some of the listed clients in the list's order");
    }
    place.lacking = lacking;
  }

  #sum({ header }, message) {
    const attempt = this.#attempt(header.position),
      place = this.#place(header.position),
      { listed, plan } = attempt,
      { total, updates } = message;
    expect(listed !== null, "sum: no list before it");
    const names = senders(listed.listed);
    expect(sameNames(senders(updates), names), `sum: expected the listed updates (${names.join(", ")}), found others`);
    updates.forEach((signed, at) => this.#checkAdded(signed, listed.listed[at], listed.commitments[at]));
    const labelled =
      spellKey(total.key_id) === header.key_id && total.terms === updates.length && total.blocks.length === header.blocks;
    expect(labelled, "sum: its label is not that of the updates in it");
    this.#checkAgreed(total, plan, "sum");
    if (canAdd(this.terms)) this.#addAgain(message, plan, header);
    this.#follow(header, updates, total.blocks.map(sha256), place);
    attempt.sum = header;
    this.members = names;
  }

  // A sum whose body this file left out: its members are the listed ones, and what follows names its header.
  unreadSum({ header }) {
    const attempt = this.#attempt(header.position),
      { listed } = attempt;
    expect(listed !== null, "sum: no list before it");
    const updates = listed.listed.map((signed, at) => {
      const { position, sender } = signed.header,
        found = this.#place(position).header("update", sender);
      expect(found, `sum: an update of ${sender} is not on record`);
      this.#checkAdded(found, signed, listed.commitments[at]);
      return found;
    });
    this.#follow(header, updates, null, this.#place(header.position));
    attempt.sum = header;
    this.members = senders(listed.listed);
  }

  #checkAdded(signed, committed, commitment) {
    const item = signed.header,
      who = `update of ${item.sender}`;
    const there = samePlace(item.position, committed.header.position) && item.kind === "update";
    expect(there, `sum: the ${who} is of another attempt than its commitment`);
    const recorded = alike(SignedHeader, this.#place(item.position).header("update", item.sender), signed);
    expect(recorded, `sum: contains an ${who} that is not on record`);
    expect(same(item.content_digest, commitment.ciphertext_digest), `sum: the ${who} is not the one that it committed to`);
  }

  // The label decides how the words are read, so it must be the plan's.
  #checkAgreed(vector, plan, who) {
    const agreed =
      vector.length === plan.length &&
      vector.integers === 2 &&
      vector.tagged === this.terms.tagged &&
      vector.bound === plan.bound &&
      vector.max_terms === plan.max_terms;
    expect(agreed, `${who}: expected the lengths, tag, bound and max_terms that the plan says, found others`);
  }

  #addAgain({ total, updates }, plan, header) {
    const running = openSum(this.terms, this.publicKeys.get(header.position.epoch));
    running.read(total);
    for (const { header: item } of updates) {
      const who = `update of ${item.sender}`;
      const vector = unpack(CiphertextVector, this.need(item.content_digest, who, this.conversation.row("update").most_bytes));
      const said = vector.length === item.length && vector.blocks.length === item.blocks && vector.terms === 1;
      expect(said, `${who}: header and content say different sizes`);
      expect(spellKey(vector.key_id) === item.key_id, `${who}: header and ciphertext name different keys`);
      this.#checkAgreed(vector, plan, who);
      running.add(vector);
    }
    const equal = alike(CiphertextVector, running.total(), total);
    expect(equal, "sum: adding the recorded updates again gives other bytes");
    this.added.push(header.position.round);
  }

  // Fix the only confirmation, receipt and state that may follow this sum. `blocks` null: its ciphertexts were left out.
  #follow(header, updates, blocks, place) {
    const names = updates.map((signed) => headerDigest(signed.header)),
      sum = headerDigest(header);
    place.after = digest(place.state, place.plan, ...names, sum);
    if (blocks) place.contents.set("confirmation", contentDigest(Confirmation, { plan: place.plan, updates: names, blocks }));
    place.contents.set("receipt", contentDigest(Receipt, { sum, state: place.after }));
  }

  #confirmation({ header }) {
    const attempt = this.#attempt(header.position);
    attempt.confirmation = header;
    if (attempt.sum === null) return;
    const ready = { sum: headerDigest(attempt.sum), confirmation: headerDigest(header) };
    this.#place(header.position).contents.set("ready", contentDigest(Ready, ready));
  }

  #ready({ header }) {
    const made = this.#place(header.position).slots.has(`update ${header.sender}`);
    expect(made, `ready of ${header.sender}: it has no update in this attempt`);
  }

  #request({ header }, request) {
    const attempt = this.#attempt(header.position),
      place = this.#place(header.position),
      { threshold } = this.#record(header.position.epoch).quorum,
      { active } = request;
    expect(
      different(active) && active.length === threshold,
      `request: expected ${threshold} different holders, found ${active.join(", ").slice(0, 200)}`,
    );
    const ready = [...(place.said.get("ready")?.keys() ?? [])];
    expect(subset(active, ready), "request: it names a holder that did not say that it is ready");
    const { sum, confirmation } = attempt;
    const named =
      sum !== null &&
      confirmation !== null &&
      same(request.sum, headerDigest(sum)) &&
      same(request.confirmation, headerDigest(confirmation));
    expect(named, "request: it names another sum or confirmation than coordinator and auditor sent");
    place.due.set("partial", active);
  }
}

const hex = (raw) => Array.from(raw, (byte) => byte.toString(16).padStart(2, "0")).join("");
