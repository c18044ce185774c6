"""Identity on a connection: TLS keys, certificate signing requests, and the organiser's certificate authority.

These keys only prove a name to the other end of a connection: a message's content is protected by the envelope's own
signature and seal (keys/identity.py). There is one authority per experiment; certificates last days and are renewed by the
organiser alone. The coordinator's certificate is for ``serverAuth``, all others are for ``clientAuth``, so a client's
certificate cannot pose as the coordinator.

Source: RFC 5280; ECDSA on P-256 because the TLS library of gRPC takes no Ed25519 certificates.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hefl_core.errors import DataError, ParameterError
from hefl_core.ids import COORDINATOR
from hefl_core.keys.secret import Hidden

SKEW: Final = timedelta(minutes=5)
"""Clocks of organisations differ: a certificate is valid from a little earlier on."""
MAX_DAYS: Final = 398
AUTHORITY: Final = "hefl authority"


class TLSKey(Hidden):
    """A party's private TLS key (ECDSA P-256)."""

    __slots__ = ("__key",)

    def __init__(self, pem: bytes | None = None) -> None:
        key = ec.generate_private_key(ec.SECP256R1()) if pem is None else _private(pem)
        self.__key = key

    def expose(self) -> bytes:
        """The key as PEM, for the party's encrypted store and its TLS library only."""
        return self.__key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def request(self, name: str) -> bytes:
        """A certificate signing request in PEM. Its signature proves possession of this key."""
        request = x509.CertificateSigningRequestBuilder().subject_name(_subject(name))
        return request.sign(self.__key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def has(self, certificate: bytes) -> bool:
        """Whether a certificate (PEM) certifies this key."""
        return _spki(read_certificate(certificate).public_key()) == _spki(self.__key.public_key())

    def sign(self, builder: x509.CertificateBuilder) -> bytes:
        """Sign a certificate. Returns PEM."""
        return builder.sign(self.__key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self.__key.public_key()


@dataclass(frozen=True)
class Authority:
    """The organiser's certificate authority for one experiment."""

    key: TLSKey
    certificate: bytes

    @classmethod
    def found(cls, experiment: str, days: int) -> Authority:
        """A new authority for this experiment, valid for ``days``. Raises: ParameterError."""
        key = TLSKey()
        name = _subject(AUTHORITY, experiment)
        builder = _builder(name, name, key.public_key, days)
        # path_length=0: it signs parties' certificates but cannot create another authority
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return cls(key, key.sign(builder.add_extension(_usage(signs_certificates=True), critical=True)))

    def issue(self, request: bytes, name: str, days: int, now: datetime | None = None) -> bytes:
        """Certify a request's key under this name and no other, for ``days`` from ``now``. Returns PEM.

        Raises: DataError when the request is not one, its signature is wrong, or it asks for another name.
        """
        wanted = _read_request(request)
        found = _common_name(wanted.subject)
        if found != name:
            raise DataError(f"request of {name}: expected one for that name, found {found[:64]!r}; ask the party again")
        public = wanted.public_key()
        if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
            raise DataError(f"request of {name}: expected a key on P-256; make it with `provision request`")
        issuer = read_certificate(self.certificate).subject
        may = ExtendedKeyUsageOID.SERVER_AUTH if name == COORDINATOR else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            _builder(_subject(name), issuer, public, days, now)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([may]), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        )
        return self.key.sign(builder)


def check_certificate(certificate: bytes, authority: bytes, name: str, now: datetime | None = None) -> datetime:
    """Check that the authority issued this certificate to ``name`` and that it is valid now. Returns its end.

    The TLS library checks the peer's certificate; this checks a party's own, so that a bad one is reported at the start.
    Raises: DataError naming what is wrong.
    """
    found, root = read_certificate(certificate), read_certificate(authority)
    try:
        found.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise DataError(
            f"certificate of {name}: expected one of this experiment's authority; ask the organiser"
        ) from error
    if _common_name(found.subject) != name:
        raise DataError(f"certificate: expected one for {name}, found one for {_common_name(found.subject)[:64]!r}")
    ends, at = found.not_valid_after_utc, now or datetime.now(UTC)
    if not found.not_valid_before_utc <= at <= ends:
        raise DataError(
            f"certificate of {name}: expected one valid at {at:%Y-%m-%d %H:%M}, found "
            f"{found.not_valid_before_utc:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC; ask the organiser to renew it"
        )
    return ends


def read_certificate(pem: bytes) -> x509.Certificate:
    """Parse a PEM certificate. Raises: DataError."""
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise DataError(
            "certificate: expected PEM, found something else; ask the organiser for the kit again"
        ) from error


def _read_request(pem: bytes) -> x509.CertificateSigningRequest:
    try:
        request = x509.load_pem_x509_csr(pem)
        valid = request.is_signature_valid
    except (ValueError, InvalidSignature) as error:
        raise DataError(
            "request: expected a certificate signing request in PEM; make it with `provision request`"
        ) from error
    if not valid:
        raise DataError("request: its signature is not by the key that it names; the sender does not have that key")
    return request


def _private(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise DataError("TLS key: expected ECDSA; make it with `provision request`")
    return key


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, days: int, now: datetime | None = None
) -> x509.CertificateBuilder:
    if not 1 <= days <= MAX_DAYS:
        raise ParameterError(
            f"days: expected 1 to {MAX_DAYS}, found {days}", "short is better: renewing is one command"
        )
    now = now or datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def _subject(name: str, experiment: str = "") -> x509.Name:
    of = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, experiment[:64])] if experiment else []
    return x509.Name([*of, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if len(found) == 1 else ""


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _spki(key: object) -> bytes:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise DataError("certificate: expected an ECDSA key; ask the organiser for the kit again")
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
