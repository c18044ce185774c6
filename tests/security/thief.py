"""A thief who takes everything that is left of a run: files, the record, and what the parties hold in memory.

It knows the code and acts on what it took. A store's write-ahead log is a time machine for it: every commit that stands in the
log is a state of the store, with rows that were deleted since. Whatever opens anything is tried on whatever is sealed.
"""

import shutil
import sqlite3
import struct
from contextlib import suppress

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hefl_core.errors import HeflError
from hefl_core.federation.record.transcript import Transcript
from hefl_core.ids import KMS
from hefl_core.keys import ceremony
from hefl_core.keys.ceremony import Dealt
from hefl_core.keys.ceremony_result import PREFIX
from hefl_core.keys.epochs import EpochAnnouncement
from hefl_core.keys.identity import Identity, SealingKey
from hefl_core.keys.roster import Roster
from hefl_core.keys.sealing import SealingInfo, open_envelope, share_info, unpack_share
from hefl_core.keys.vault.unlock import KeyFile
from hefl_core.schemes.base import CiphertextVector, PartialDecryption
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import pairwise, rlwe, shamir
from hefl_core.terms import messages as m
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Envelope

FRAME, HEAD = 24, 32
DEAL = PREFIX + ceremony.DEAL


class Thief:
    """``stores``: the folder with every party's store and key file; ``results``: the coordinator's record with its blobs.

    ``minds``: what is in memory, the parties' enrolments with all they hold.
    """

    def __init__(self, stores, results, minds, folder):
        shutil.copytree(stores, folder / "stores")
        shutil.copytree(results, folder / "results")
        self.rows = [row for path in sorted((folder / "stores").rglob("*.db")) for row in every_row(path)]
        self.record = Transcript.load(folder / "results" / "transcript.jsonl")
        self.rosters, self.keys = {}, {}
        for sent in self.record.sent:
            if sent.step == "roster":
                self.rosters[sent.position.epoch] = decode(sent.inline, Roster)
            elif sent.step == "epoch":
                key = decode(self.record.body(sent), EpochAnnouncement).public_key
                self.keys[sent.position.epoch] = key
        self.readers = [*self._stolen_readers(), *(reader for mind in minds for reader in readers_of(mind))]
        self.minds = minds

    def _stolen_readers(self):
        for table, name, value in self.rows:
            if table == "identities":
                yield Identity._import(value)
            elif table.startswith("sealing/") and name != "destroyed":
                yield SealingKey._import(table.partition("/")[2], value)

    def envelopes(self):
        """Every message that lies anywhere with its body: on record, in the KMS's store, in a party's."""
        for sent in self.record.sent:
            if (body := self.record.blobs.get(sent.body)) is not None:
                yield Envelope(sent.head.header, sent.head.signature, body)
        for table, _, value in self.rows:
            if table.startswith(("enrolment/", "kms/messages", "round-log/events")):
                yield Envelope.from_bytes(value)

    def shares(self, epoch):
        """Every share of an epoch's key that it finds, opens or works out, by index."""
        found = dict(self._kept(epoch))
        for envelope in self.envelopes():
            if (envelope.header.kind, envelope.header.position.epoch) == ("share", epoch):
                found |= {share.index: share for share in self._opened_share(envelope, epoch)}
        return found | self._from_deals(epoch)

    def _kept(self, epoch):
        for table, _, value in self.rows:
            if table.startswith("shares/"):
                share, _ = unpack_share(value)
                if share.id.epoch == epoch:
                    yield share.index, share
        for mind in self.minds:
            with suppress(HeflError):
                share = mind.holder.share(epoch)
                yield share.index, share

    def _opened_share(self, envelope, epoch):
        key, roster = self.keys[epoch], self.rosters[epoch]
        (client,) = envelope.header.recipients
        info = share_info(roster.experiment, key.id, key.quorum, roster.index(client), KMS)
        yield from (unpack_share(content)[0] for content in self._opened(envelope, info))

    def _opened(self, envelope, info):
        for reader in self.readers:
            with suppress(HeflError):
                yield open_envelope(reader, envelope, info)

    def _from_deals(self, epoch):
        """f_i(j) for all i ≠ j; the points that clients dealt to themselves follow from the others, the degree being t - 1."""
        points, key, roster = {}, self.keys[epoch], self.rosters[epoch]
        for envelope in self.envelopes():
            header = envelope.header
            if (header.kind, header.position.epoch) != (DEAL, epoch):
                continue
            index = roster.index(header.recipients[0])
            place = (roster.experiment, epoch, str(key.id), 0, header.sender)
            info = SealingInfo(
                DEAL, *place, share_index=index, threshold=key.quorum.threshold, holders=len(roster.clients)
            )
            for content in self._opened(envelope, info):
                points[roster.index(header.sender), index] = decode(content, Dealt).point
        if not points:
            return {}
        assert len(points) == key.quorum.holders * (key.quorum.holders - 1), "the thief opened some deals and not all"
        return {j: self._summed(points, j, key) for j in range(1, key.quorum.holders + 1)}

    def _summed(self, points, index, key):
        """Holder ``index``'s share of all that was dealt to it; its deal to itself never travelled, and is worked out."""
        scheme, holders = open_scheme(key.id.preset), range(1, key.quorum.holders + 1)
        dealt = [points.get((i, index)) or self._own_deal(points, index, scheme.ring, holders) for i in holders]
        return scheme.joint_share(key, index, dealt)

    def _own_deal(self, points, index, ring, holders):
        primes = rlwe.data_primes(ring)
        parts = {j: pairwise.split(points[index, j], primes, ring.degree) for j in holders if j != index}
        one, two = sorted(parts)[:2]
        a, b = (shamir.from_bytes(parts[j][0], primes, ring.degree, "point") for j in (one, two))
        halves = [parts[j][1] if j != index else bytes(pairwise.SEED_BYTES) for j in holders]
        return shamir.to_bytes(line_through(a, b, one, two, index, primes), primes) + b"".join(halves)

    def open_upload(self, epoch, client):
        """A client's first upload of an epoch, decrypted alone; None when too few shares are to be had."""
        shares, key = self.shares(epoch), self.keys[epoch]
        active = tuple(sorted(shares))[: key.quorum.threshold]
        if len(active) < key.quorum.threshold:
            return None
        upload = next(s for s in self.record.sent if (s.step, s.sender, s.position.epoch) == (m.UPDATE, client, epoch))
        vector, scheme = decode(self.record.content(upload), CiphertextVector), open_scheme(key.id.preset)
        partials = [scheme.partial_decrypt(shares[index], vector, active) for index in active]
        return np.asarray(scheme.open(key, vector, partials).values)

    def answers(self, epoch):
        """Partial decryptions of the epoch's sums that lie in holders' stores: t of them open the sum."""
        answers = [value for _, name, value in self.rows if name.startswith("answer/") and value]
        return [value for value in answers if PartialDecryption.from_bytes(value).key_id.epoch == epoch]


def readers_of(mind):
    """Whatever this party has in memory that opens something."""
    yield mind.identity
    if mind._prekeys is not None:
        yield from mind._prekeys._Prekeys__keys.values()


def line_through(a, b, x_a, x_b, x, primes):
    """f(x) of the line through (x_a, a) and (x_b, b)."""

    def weight(mine, other):
        return [(x - other) * pow(mine - other, -1, p) % p for p in primes]

    left, right = shamir.scale(a, weight(x_a, x_b), primes), shamir.scale(b, weight(x_b, x_a), primes)
    return shamir.add(left, right, primes)


def every_row(path):
    """(table, name, value) of every row that stands in a store's file, or stood there at some commit in its log."""
    whole, log = path.read_bytes(), path.with_name(path.name + "-wal")
    tail = log.read_bytes() if log.exists() else b""
    page = struct.unpack(">I", tail[8:12])[0] if len(tail) > HEAD else 0
    ends = [HEAD]
    if page:
        starts = range(HEAD, len(tail) - page - FRAME + 1, page + FRAME)
        ends += [at + page + FRAME for at in starts if struct.unpack(">I", tail[at + 4 : at + 8])[0]]
    found = set()
    for number, end in enumerate(ends):
        state = path.with_name(f"{path.name}.{number}")
        state.write_bytes(whole)
        state.with_name(state.name + "-wal").write_bytes(tail[:end] if page else b"")
        with suppress(sqlite3.DatabaseError):  # a state that the pages have moved on from
            found |= set(rows_of(state, KeyFile(path.with_suffix(".key"))))
    return sorted(found)


def rows_of(path, key_file):
    database = sqlite3.connect(path)
    try:
        (wrapped,) = database.execute("SELECT value FROM meta WHERE name = 'data key'").fetchone()
        data_key = AESGCM(key_file.unwrap(wrapped))
        for place, name, version, nonce, body in database.execute("SELECT * FROM rows").fetchall():
            with suppress(InvalidTag):
                yield place, name, data_key.decrypt(nonce, body, encode((place, name, version)))
    finally:
        database.close()
