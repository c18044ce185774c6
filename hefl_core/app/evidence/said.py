"""What an evidence file says, in words; for other languages (locale/extract.py)."""

from __future__ import annotations

from typing import Final

RUNNING: Final = {
    "checking": "Your browser is checking this record …",
    "line": "line {line}",
    "holds": "Everything that was checked holds, and the roster is the one that you gave.",
    "agrees": "Everything that was checked agrees with itself. Whose record it is, is not known yet: give the roster below.",
    "broken": "The record does not hold. Its first break:",
    "unreadable": "The record cannot be checked.",
    "old": "This browser cannot check Ed25519 signatures. Open the file in a newer one.",
    "until": "Checked up to the break:",
    "signatures": "Signatures: {messages} messages on {lines} lines, each signed by its sender and chained to that sender's "
    "message before; each line is chained to the line before.",
    "rounds": "Order: as the protocol prescribes; rounds that ended: {rounds}; clients that gave a receipt in each: {receipts}.",
    "sums": "Sums: {sums} of {rounds} added again from the ciphertexts, equal byte for byte (round {which}).",
    "cannot_add": "Sums: not added again here. Ciphertexts of this form need the encryption library; hefl verify adds them.",
    "no_contents": "Sums and contents of messages: not checked. The record came without its bodies.",
    "left": "Bodies left out of this file to keep it small: {left}. Their senders, sizes, digests and order are checked.",
    "closed": "End: signed by {signed} of {clients} clients.",
    "pinned": "Roster: as you gave it.",
    "unpinned": "Roster: not compared. A record that somebody made up from the first line on would agree with itself too.",
    "heads": "End: it is the one that {heads} clients remember.",
    "no_heads": "End: not compared with what clients remember. All clients together could have signed an earlier end.",
    "notes": "Notes of refusals: {notes}. They are unsigned: they prove and excuse nothing.",
    "client": "client: trains on its own data, and opens sums",
    "coordinator": "coordinator: adds updates, without a key",
    "auditor": "auditor: adds them a second time, without a key",
    "kms": "key office: signs the roster and the keys' records",
    "round": "Round {round}: {messages} messages, updates of {updates} clients",
    "opening": "Before the rounds: {messages} messages about keys and members",
    "columns": "number|message|from|to|attempt|bytes of content|body",
    "sealed": "sealed to its readers",
    "open": "open",
    "lost": "nobody got it",
}
"""What the page's JavaScript says, by the names that it uses."""

STANDING: Final = {
    "title": "A run that proves itself",
    "lead": "{clients} clients trained one model together, each on its own data. This file holds the signed record of that run. "
    "It asks no server and needs no installation: your browser checks the record while you read.",
    "no_script": "This file checks itself with JavaScript, which is switched off here.",
    "checked": "What was checked",
    "pin_title": "Is it the run that you mean?",
    "pin_lead": "Ask one of the parties, by telephone or on paper, for the roster's fingerprint: 64 digits. Never take it from "
    "whoever gave you this file. This record's first roster has:",
    "pin": "Fingerprint of the roster, or the text of a .roster file",
    "heads_label": "What clients remember of the end: the text of a .heads file (may stay empty)",
    "again": "Check again",
    "who": "Who could read what",
    "who_lead": "Worked out from the messages of the record and the shares of the key that each party got, after the last message. "
    "A column with + is two parties that pool what they have.",
    "secret": "secret",
    "parties": "The parties",
    "party": "party",
    "role": "role",
    "key": "its signing key",
    "course": "The run, message by message",
    "sample": "This file adds the sums of round {rounds} again, of {all}. The bodies of the others were left out to keep it "
    "small; the whole record can be checked with hefl verify.",
    "limits": "What is not promised",
    "limit_file": "The checks in this file came with the file: who made the one could have changed the other. The same checks in "
    "the program hefl verify come from elsewhere. A reader who must be certain uses that.",
    "limit_record": "A record shows what was said and by whom. It does not show that data were right, that a message arrived, or "
    "that nobody kept a copy of a key.",
    "elsewhere": "To check it without this file, with the record and the roster:",
    "made": "Made by hefl {version} on {day}. Run {run}.",
}
"""What stands on the page."""

STATES: Final = {
    "not yet": "not yet",
    "nothing": "nothing",
    "sealed": "sealed bytes",
    "ciphertext": "ciphertext only",
    "share": "one part of the key",
    "dealt": "made it, then deleted it",
    "can open": "can read it",
    "knows": "reads it",
}
"""What a seat has of a secret, by the names of figures/knowledge.py."""

SECRETS: Final = {
    "key": "the whole key",
    "update": "update of {owner}",
    "sum": "the sum",
    "model": "the model",
    "records": "records of {owner}",
}
"""Secrets, by the names of figures/knowledge.py."""

SAID: Final = (*RUNNING.values(), *STANDING.values(), *STATES.values(), *SECRETS.values())
