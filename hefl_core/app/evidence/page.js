// The page of one evidence file: checks its record, says what was found, and shows the run as the record has it.
// Everything below the verdict is drawn from the record that is checked, never from what somebody wrote about it.

import { hex } from "./hash.js";
import { check, linesIn, readHeads, readPin } from "./check.js";
import { openRecord, openTerms } from "./container.js";

const SHOWN_EVERY = 25; // lines between two looks at the progress

export async function start(document) {
  const held = (id) => document.getElementById(id).textContent;
  const page = new Page(document, JSON.parse(held("texts")));
  try {
    const terms = openTerms(held("terms")),
      record = await openRecord(held("record"));
    document.getElementById("again").addEventListener("submit", (event) => {
      event.preventDefault();
      page.run(record, terms);
    });
    page.show(record, terms);
    await page.run(record, terms);
  } catch (error) {
    page.say("broken", page.texts.unreadable, `${error.message}`);
  }
}

class Page {
  constructor(document, texts) {
    this.document = document;
    this.texts = texts;
    this.verdict = document.getElementById("verdict");
  }

  say(state, title, detail) {
    this.verdict.dataset.state = state;
    this.verdict.replaceChildren(this.make("strong", title), this.make("p", detail));
  }

  make(name, ...inside) {
    const element = this.document.createElement(name);
    element.append(...inside.map((part) => (typeof part === "number" ? `${part}` : part)));
    return element;
  }

  fill(text, values) {
    return this.texts[text].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  }

  typed(id) {
    return this.document.getElementById(id).value.trim();
  }

  async run(record, terms) {
    const { texts } = this;
    this.say("checking", texts.checking, "");
    this.document.getElementById("checked").replaceChildren();
    const progress = async (line) => {
      if (line % SHOWN_EVERY) return;
      this.verdict.lastChild.textContent = this.fill("line", { line });
      await new Promise((next) => setTimeout(next));
    };
    let found;
    try {
      const pin = this.typed("pin") ? readPin(this.typed("pin")) : null;
      const heads = this.typed("heads") ? readHeads(this.typed("heads")) : null;
      found = await check(record, terms, { pin, heads, progress });
    } catch (error) {
      const old = error.name === "NotSupportedError";
      this.say("broken", old ? texts.old : texts.unreadable, error.message);
      return;
    }
    if (found.broken) this.say("broken", texts.broken, found.broken);
    else this.say(found.authenticated ? "holds" : "unpinned", found.authenticated ? texts.holds : texts.agrees, this.#sums(found, terms));
    this.#list(found, terms);
  }

  // What was checked up to the end, or up to the first break, one sentence a line.
  #list(found, terms) {
    const { texts } = this,
      [signed, clients] = found.signers;
    const said = [
      found.broken ? texts.until : null,
      this.fill("signatures", { messages: found.messages + found.unsent, lines: found.lines }),
      this.fill("rounds", { rounds: found.rounds, receipts: found.receipts.join(", ") }),
      found.contents ? this.#sums(found, terms) : texts.no_contents,
      found.left ? this.fill("left", { left: found.left }) : null,
      found.broken ? null : this.fill("closed", { signed, clients }),
      found.authenticated ? texts.pinned : texts.unpinned,
      found.heads ? this.fill("heads", { heads: found.heads }) : texts.no_heads,
      found.notes ? this.fill("notes", { notes: found.notes }) : null,
    ];
    const list = this.document.getElementById("checked");
    list.replaceChildren(...said.filter(Boolean).map((sentence) => this.make("li", sentence)));
    const [first] = found.rosters;
    this.document.getElementById("fingerprint").textContent = first ? first.fingerprint.match(/.{8}/g).join(" ") : "";
  }

  #sums(found, terms) {
    if (!found.contents) return this.texts.no_contents;
    if (terms.form === null) return this.texts.cannot_add;
    return this.fill("sums", { sums: found.added.length, rounds: found.rounds, which: found.added.join(", ") });
  }

  // Parties, rounds and messages, as the record names them.
  show(record, terms) {
    const parties = new Map(),
      rounds = new Map();
    for (const { number, entry, roster } of linesIn(record.lines, terms)) {
      for (const member of roster?.members ?? []) parties.set(member.name, member);
      if (!entry.head?.header) continue; // a closing line has a head too: the digest of the line before
      const { header } = entry.head,
        { round, attempt } = header.position;
      if (!rounds.has(round)) rounds.set(round, []);
      rounds.get(round).push([number, header, attempt, entry.type === "unsent"]);
    }
    const rows = [...parties.values()].map((m) => [m.name, this.texts[m.role] ?? m.role, this.make("code", hex(m.signing))]);
    this.#table("parties", rows);
    const inRound = [...rounds].map(([round, messages]) => this.#round(round, messages));
    this.document.getElementById("rounds").replaceChildren(...inRound);
  }

  #round(round, messages) {
    const { texts } = this;
    const senders = new Set(messages.filter(([, header]) => header.kind === "update").map(([, header]) => header.sender));
    const title = round ? this.fill("round", { round, messages: messages.length, updates: senders.size }) : this.fill("opening", { messages: messages.length });
    const details = this.make("details", this.make("summary", title));
    const table = this.make("table", this.make("thead", this.#row("th", texts.columns.split("|"))));
    const body = messages.map(([number, header, attempt, lost]) =>
      this.#row("td", [
        number, header.kind, header.sender, header.recipients.join(", "), attempt, header.content_nbytes.toLocaleString("en"),
        lost ? texts.lost : header.sealed ? texts.sealed : texts.open,
      ]),
    );
    table.append(this.make("tbody", ...body));
    details.append(table);
    return details;
  }

  #row(cell, values) {
    return this.make("tr", ...values.map((value) => this.make(cell, value)));
  }

  #table(id, rows) {
    this.document.querySelector(`#${id} tbody`).replaceChildren(...rows.map((row) => this.#row("td", row)));
  }
}
