"""Provisioning of keys, certificates and terms between organisations, without handing out a secret.

1. Each party makes its own keys on its own machine (:func:`make_request`); only a public request leaves it.
2. The organiser checks the requests and answers each with a kit of public files (:func:`issue`). It never handles a
   party's private key, sealed or open: that is better than sending each party's key sealed to it.
3. On one machine :func:`provision_all` does all of this, one directory per party, and deals demonstration data.

The organiser can leave a party out, or put its own keys under a party's name. Against that the parties compare the kit's
fingerprint over another channel. The authority's key lies in the organiser's encrypted store.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hefl_core.errors import DataError, KeyUseError, ParameterError
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, client_name, digest
from hefl_core.keys.identity import Identity
from hefl_core.keys.kms.records import keep_identity, recall_identity
from hefl_core.keys.roster import CLIENT, Member
from hefl_core.keys.vault.store import KeyStore
from hefl_core.keys.vault.unlock import Passphrase
from hefl_core.learning import shelf
from hefl_core.learning.models import SUMS, model_for
from hefl_core.ops.settings import CLIENT_NAME, LISTEN
from hefl_core.runtime.client_home import dealt_data
from hefl_core.runtime.round_zero import terms as terms_of_round_zero
from hefl_core.runtime.services.certificates import Authority, TLSKey
from hefl_core.runtime.services.kit import TLS_TABLE, Kit, own_store, read_json
from hefl_core.runtime.services.own_data import FOLDER as DATA
from hefl_core.runtime.services.own_data import HOLD_OUT, TRAIN, save_arrays, save_table
from hefl_core.runtime.stage import open_store
from hefl_core.terms.experiment import Experiment, Manifest, Schema
from hefl_core.wire.canonical import decode, encode

REQUEST: Final = "request.json"
KITS: Final = "kits"
ORGANISER: Final = "organiser"
PASSPHRASE: Final = "HEFL_PASSPHRASE"
DAYS: Final = 30
FIRST_METRICS_PORT: Final = 9464


@dataclass(frozen=True, slots=True)
class Request:
    """A party's request to the organiser: its member line and a certificate signing request (PEM). All of it public.

    ``csr`` is signed by the TLS key, ``signature`` (over member and csr) by the signing key: the author holds both.
    """

    member: Member
    csr: bytes
    signature: bytes

    def check(self) -> None:
        """Verify the signature. Raises: DataError when the signing key did not sign this request."""
        try:
            Ed25519PublicKey.from_public_bytes(self.member.signing).verify(
                self.signature, _bound(self.member, self.csr)
            )
        except (InvalidSignature, ValueError) as error:
            raise DataError(
                f"request of {self.member.name}: expected the signature of its own signing key, found another; ask it again"
            ) from error


def _bound(member: Member, csr: bytes) -> bytes:
    return digest(b"hefl/request", encode(member), csr)


def party_names(clients: int) -> tuple[str, ...]:
    """Coordinator, auditor, KMS, then the clients."""
    return (COORDINATOR, AUDITOR, KMS, *(client_name(i + 1) for i in range(clients)))


def role_of(party: str) -> str:
    """The role behind a name. Raises: ParameterError for a name that the protocol does not know."""
    if party in (COORDINATOR, AUDITOR, KMS):
        return party
    if not CLIENT_NAME.fullmatch(party):
        raise ParameterError(
            f"party: expected coordinator, auditor, kms or client-1, client-2, …, found {party[:80]!r}"
        )
    return CLIENT


# -- 1: each party ---------------------------------------------------------------------------------------------------


def make_request(home: Path, party: str) -> Path:
    """Make a party's keys in its own encrypted store. Returns the file of its public request.

    Raises: ParameterError for another name, or a home that is no folder; KeyUseError when there are keys, or a request,
        already: nothing is overwritten.
    """
    role = role_of(party)
    if home.exists() and not home.is_dir():
        raise ParameterError(f"home: expected a folder, found {home}, which is none", "choose another place")
    if (home / f"{party}.db").exists():
        raise KeyUseError(f"home: {party} has keys in {home} already; --again makes a request for its next certificate")
    if (home / REQUEST).exists():
        raise KeyUseError(
            f"home: expected no {REQUEST} in {home} yet, found one without its keys; choose another folder"
        )
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    identity, key = Identity(party, role), TLSKey()
    csr = key.request(party)
    with open_store(home, party) as store, store.transaction():
        keep_identity(store, identity)
        store.put(TLS_TABLE, "key", key.expose())
    signature = identity.sign(_bound(identity.member, csr))
    return _write_request(home, Request(identity.member, csr, signature))


def renew_request(home: Path, party: str) -> Path:
    """Make a new TLS key for a party that has its other keys already. Returns the request for the next certificate.

    The old certificate no longer fits: stop the service first, replace the certificate, start the service again.
    Raises: KeyUseError when it has none; ParameterError for another name.
    """
    role_of(party)
    if not (home / f"{party}.db").exists():
        raise KeyUseError(
            f"home: expected the keys of {party} in {home}, found none; make the first request, without --again"
        )
    key = TLSKey()
    csr = key.request(party)
    with open_store(home, party) as store:
        identity = recall_identity(store, party)
        store.put(TLS_TABLE, "key", key.expose())
    return _write_request(home, Request(identity.member, csr, identity.sign(_bound(identity.member, csr))))


def _write_request(home: Path, request: Request) -> Path:
    path = home / REQUEST
    path.write_bytes(msgspec.json.format(msgspec.json.encode(request)) + b"\n")
    return path


def check_kit(home: Path, party: str) -> tuple[Kit, datetime]:
    """Read the organiser's kit and check it against the party's keys. Returns the kit and its certificate's end.

    Raises: DataError, ParameterError, KeyUseError naming what does not fit.
    """
    kit = Kit.load(home)
    with own_store(home, party) as store:
        return kit, kit.check(party, store)


# -- 2: the organiser ------------------------------------------------------------------------------------------------


def terms(experiment: Experiment, schema: Schema | None = None, examples_max: int | None = None) -> Manifest:
    """The agreed terms. With a ``schema`` the clients use their own tables, which the organiser never sees.

    Raises: ParameterError without a largest number of examples for such tables.
    """
    strict = experiment.but(observed=False)
    if strict.model == SUMS:
        return terms_of_round_zero(strict)
    if schema is None:
        return dealt_data(strict).manifest(strict)
    if examples_max is None or examples_max < 1:
        raise ParameterError(
            "examples_max: expected the largest number of training rows a client may have, found none",
            "agree on a round number, say 4096",
        )
    parameters = model_for(strict.model, len(schema.columns), len(schema.classes)).parameters
    return Manifest.draw(strict, parameters, examples_max, schema)


def read_requests(folder: Path, clients: int) -> tuple[Request, ...]:
    """Read and check all requests below a folder: one per party, each with proof of its keys. Raises: DataError."""
    found = [read_json(path, Request) for path in sorted(folder.rglob("*.json")) if path.name.endswith(REQUEST)]
    by_name = {request.member.name: request for request in found}
    names = party_names(clients)
    if sorted(request.member.name for request in found) != sorted(names):
        raise DataError(
            f"requests in {folder}: expected one *{REQUEST} each of {', '.join(names)}; found "
            f"{', '.join(request.member.name for request in found) or 'none'}"
        )
    for request in found:
        request.check()
        if request.member.role != role_of(request.member.name):
            raise DataError(
                f"request of {request.member.name}: expected the role {role_of(request.member.name)}, "
                f"found {request.member.role}"
            )
    return tuple(by_name[name] for name in names)


def issue(home: Path, manifest: Manifest, requests: Sequence[Request], days: int = DAYS) -> dict[str, Kit]:
    """Create the experiment's authority and each party's kit (``home/kits/PARTY``).

    Raises: KeyUseError when this organiser has an experiment, or kits, already: renew, or take another folder.
    """
    if (home / KITS).exists() and not (home / f"{ORGANISER}.db").exists():
        raise KeyUseError(
            f"organiser: expected a new folder, {home} has kits without their authority; take another one"
        )
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _organiser_store(home) as store:
        if store.list(ORGANISER):
            raise KeyUseError(
                f"organiser: expected a new folder, {home} has an experiment; renew it, or take another one"
            )
        authority = Authority.found(manifest.id, days)
        with store.transaction():
            store.put(ORGANISER, "key", authority.key.expose())
            store.put(ORGANISER, "certificate", authority.certificate)
            store.put(ORGANISER, "manifest", encode(manifest))
            store.put(ORGANISER, "members", encode(tuple(request.member for request in requests)))
    return _give_out(home, manifest, authority, requests, days)


def renew(home: Path, requests_folder: Path, days: int = DAYS) -> dict[str, Kit]:
    """New certificates under the same terms and members, from a new authority's key.

    Raises: DataError when a request comes with other signing or sealing keys than before; KeyUseError before :func:`issue`.
    """
    if not (home / f"{ORGANISER}.db").exists():
        raise KeyUseError(f"organiser: expected the authority of an experiment in {home}, found none; issue first")
    with _organiser_store(home) as store:
        manifest = decode(store.get(ORGANISER, "manifest"), Manifest)
        members = decode(store.get(ORGANISER, "members"), tuple[Member, ...])
        requests = read_requests(requests_folder, manifest.experiment.clients)
        for request, member in zip(requests, members, strict=True):
            if request.member != member:
                raise DataError(f"request of {member.name}: expected the keys enrolled before, found others; ask why")
        authority = Authority.found(manifest.id, days)
        with store.transaction():
            store.put(ORGANISER, "key", authority.key.expose())
            store.put(ORGANISER, "certificate", authority.certificate)
    return _give_out(home, manifest, authority, requests, days)


def _give_out(
    home: Path, manifest: Manifest, authority: Authority, requests: Sequence[Request], days: int
) -> dict[str, Kit]:
    members = tuple(request.member for request in requests)
    kits = {}
    for request in requests:
        name = request.member.name
        certificate = authority.issue(request.csr, name, days)
        kits[name] = Kit(manifest, members, authority.certificate, certificate)
        kits[name].save(home / KITS / name)
    return kits


def _organiser_store(home: Path) -> KeyStore:
    """The organiser's store, under HEFL_PASSPHRASE if it is set, else under a key file beside it."""
    passphrase = os.environ.get(PASSPHRASE)
    return KeyStore(home / f"{ORGANISER}.db", Passphrase(passphrase)) if passphrase else open_store(home, ORGANISER)


# -- 3: all of it on one machine -------------------------------------------------------------------------------------


def provision_all(
    folder: Path,
    experiment: Experiment,
    *,
    coordinator: str = LISTEN[COORDINATOR],
    metrics: bool = True,
    days: int = DAYS,
) -> Manifest:
    """Provision on one machine: a directory per party and for the organiser, with dealt data in the clients'.

    Raises: ParameterError when the folder is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ParameterError(f"provision: expected an empty or new folder, {folder} has something in it")
    experiment = experiment.but(dataset=shelf.resolve(experiment.dataset))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    names = party_names(experiment.clients)
    for name in names:
        make_request(folder / name, name)
    manifest = terms(experiment)
    kits = issue(folder / ORGANISER, manifest, read_requests(folder, experiment.clients), days)
    for number, name in enumerate(names):
        kits[name].save(folder / name)
        address = f"127.0.0.1:{FIRST_METRICS_PORT + number}" if metrics else ""
        (folder / name / "service.toml").write_text(_settings(name, coordinator, address), encoding="utf-8")
    deal(folder, manifest)
    return manifest


def deal(folder: Path, manifest: Manifest) -> None:
    """Write each client's part of the experiment's data set, and its hold-out rows, to its own directory; before round zero
    its own table as it came.
    """
    if manifest.experiment.model == SUMS:
        for index, source in enumerate(shelf.tables(manifest.experiment.dataset).sources, start=1):
            if source is not None:
                save_table(folder / client_name(index) / DATA, source)
        return
    whole = dealt_data(manifest.experiment)
    for index, (own, held_out) in enumerate(zip(whole.parts, whole.held_out, strict=True), start=1):
        data = folder / client_name(index) / DATA
        save_arrays(data / f"{TRAIN}.npz", own)
        save_arrays(data / f"{HOLD_OUT}.npz", held_out)


def _settings(party: str, coordinator: str, metrics: str) -> str:
    lines = {"party": party, "home": ".", "coordinator": coordinator, "metrics": metrics}
    if party == COORDINATOR:
        lines["listen"] = coordinator
    return "".join(f'{name} = "{value}"\n' for name, value in lines.items())
