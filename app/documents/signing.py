"""Signed PDFs (PAdES): an authority's key, the signature that a PDF reader checks by itself, and our own look at a PDF that
someone brings. pyHanko does the work; it is imported at first use, for it takes half a second."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from app.documents.child import ChildFailed, run_child

FIELD = "Signature1"
LEAST_RSA_BITS = 2048
MOST_BYTES = 5 * 1024 * 1024
_SECONDS, _MEMORY_MB = 20.0, 1024
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
# A timestamp token (RFC 3161, DER) over a SHA-256 digest.
Stamp = Callable[[bytes], bytes]


class KeyFault(Exception):
    """A key that cannot sign. `code`: unreadable, password, no_certificate, mismatch, kind (neither RSA of 2048 bits and more nor
    P-256, P-384), usage (its certificate is not for signatures), period (not yet or no longer valid)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class KeyFacts:
    """What a certificate says of its key. `fingerprint` is SHA-256 of the certificate, in hexadecimal."""

    subject: str
    issuer: str
    fingerprint: str
    valid_from: datetime
    valid_until: datetime


@dataclass(frozen=True)
class Verdict:
    """What a PDF's signature says. `state`: untouched (one signature, it is right and covers every byte), changed, unsigned, or
    unreadable (no PDF, or one that cannot be taken apart). The rest is only there with a signature that is right in itself, and
    `fingerprint` says whose it is; whether that key is anyone's we know is for the caller. `timestamped` is the moment a timestamp service
    vouches for."""

    state: str
    fingerprint: str = ""
    number: str = ""
    signed_at: datetime | None = None
    timestamped: datetime | None = None


def read_key(private_key: str, certificate: str, *, at: datetime) -> KeyFacts:
    """What is said of a key and its certificate, both PEM; certificates after the first are those above it. Raises `KeyFault`."""
    key, chain = _load(private_key, certificate)
    own = chain[0]
    if own.public_key() != key.public_key():
        raise KeyFault("mismatch")
    if not _may_sign(own):
        raise KeyFault("usage")
    if not own.not_valid_before_utc <= at < own.not_valid_after_utc:
        raise KeyFault("period")
    return KeyFacts(_name(own.subject), _name(own.issuer), own.fingerprint(hashes.SHA256()).hex(), own.not_valid_before_utc,
                    own.not_valid_after_utc)


def unpack(data: bytes, password: str) -> tuple[str, str]:
    """Private key and certificates (PEM) of a .p12/.pfx, or of a PEM text that holds both. Raises `KeyFault`."""
    if b"-----BEGIN" in data:
        text = data.decode("ascii", "replace")
        at = text.find("-----BEGIN CERTIFICATE-----")
        if at < 0:
            raise KeyFault("no_certificate")
        private = text[text.find("-----BEGIN"):at] if text.find("-----BEGIN") < at else text[text.rfind("-----END CERTIFICATE-----") + 25:]
        certificates = "".join(f"-----BEGIN CERTIFICATE-----{part.partition('-----END')[0]}-----END CERTIFICATE-----\n"
                               for part in text.split("-----BEGIN CERTIFICATE-----")[1:])
        return _open(private.encode(), password), certificates
    try:
        key, own, above = pkcs12.load_key_and_certificates(data, password.encode() or None)
    except ValueError:
        raise KeyFault("password") from None
    if key is None or own is None:
        raise KeyFault("no_certificate")
    return _pem(key), "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in (own, *above))


def _open(text: bytes, password: str) -> str:
    """A private key in PEM, without its password."""
    try:
        return _pem(serialization.load_pem_private_key(text, password.encode() or None))
    except TypeError:
        raise KeyFault("password") from None
    except ValueError:
        raise KeyFault("password" if password else "unreadable") from None


def _pem(key: Any) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def draw_key(name: str, *, days: int, at: datetime) -> tuple[str, str]:
    """A new RSA key (3072 bits) with a certificate that it has signed itself, both PEM. A PDF reader shows such a signature as
    unbroken, and its signer as unknown until the certificate is trusted on that machine."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    subject = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, name[:64]),
                         x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    usage = x509.KeyUsage(digital_signature=True, content_commitment=True, key_encipherment=False, data_encipherment=False,
                          key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False)
    own = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
           .serial_number(x509.random_serial_number())
           .not_valid_before(at - timedelta(minutes=5)).not_valid_after(at + timedelta(days=days))
           .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True).add_extension(usage, critical=True)
           .sign(key, hashes.SHA256()))
    return _pem(key), own.public_bytes(serialization.Encoding.PEM).decode()


def _load(private_key: str, certificate: str) -> tuple[Key, list[x509.Certificate]]:
    try:
        key = serialization.load_pem_private_key(private_key.encode(), None)
        chain = x509.load_pem_x509_certificates(certificate.encode())
    except (ValueError, TypeError):
        raise KeyFault("unreadable") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= LEAST_RSA_BITS:
        return key, chain
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        return key, chain
    raise KeyFault("kind")


def _may_sign(own: x509.Certificate) -> bool:
    try:
        usage = own.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.digital_signature or usage.content_commitment


def _name(name: x509.Name) -> str:
    for wanted in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        found = name.get_attributes_for_oid(wanted)
        if found:
            return str(found[0].value)[:200]
    return name.rfc4514_string()[:200]


class Signer:
    """Signs PDFs with one key, which is read once: pyHanko's own signer reads it anew for each signature, which takes 90 ms and more.

    Threads share the key and bytes, nothing of asn1crypto: its objects are taken apart at their first use and write their bytes anew as
    they are put into others, both unlocked, so two threads with one certificate may meet it half written.
    """

    def __init__(self, private_key: str, certificate: str, stamp: Stamp | None = None) -> None:
        """Both PEM. `stamp` gets a timestamp over each signature. Raises `KeyFault`."""
        self._key, chain = _load(private_key, certificate)
        self._chain = [each.public_bytes(serialization.Encoding.DER) for each in chain]
        self._stamp = stamp
        self._sample = b""
        self._sampling = threading.Lock()

    def sign(self, pdf: bytes, *, number: str, name: str) -> bytes:
        """The PDF with a signature that certifies it: any change afterwards is one too many. `number` stands in it as the reason,
        `name` as who signed. Costs 20 to 30 ms, and the wait for the timestamp. Raises what `stamp` raises; nothing is signed then. May be
        called by several threads at once."""
        from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
        from pyhanko.sign import PdfSignatureMetadata, signers
        from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter

        meta = PdfSignatureMetadata(field_name=FIELD, md_algorithm="sha256", reason=number, name=name, certify=True,
                                    docmdp_permissions=MDPPerm.NO_CHANGES, subfilter=SigSeedSubFilter.PADES)
        out = io.BytesIO()
        with _first_alone():
            signers.sign_pdf(IncrementalPdfFileWriter(io.BytesIO(pdf)), meta, self._signer(), timestamper=self._timestamper(), output=out)
        return out.getvalue()

    def _signer(self) -> Any:
        """Made for one signature (see the class); it takes a fraction of a millisecond."""
        from asn1crypto import x509 as asn1
        from pyhanko.sign.signers import Signer as Base
        from pyhanko_certvalidator.registry import SimpleCertificateStore

        chain = [asn1.Certificate.load(each) for each in self._chain]
        registry: Any = SimpleCertificateStore()  # type: ignore[no-untyped-call]
        registry.register_multiple(chain)
        key = self._key

        class Loaded(Base):  # type: ignore[misc]
            async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
                digest: Any = getattr(hashes, digest_algorithm.upper())()
                if isinstance(key, rsa.RSAPrivateKey):
                    return bytes(key.key_size // 8) if dry_run else key.sign(data, padding.PKCS1v15(), digest)
                return key.sign(data, ec.ECDSA(digest))

        return Loaded(signing_cert=chain[0], cert_registry=registry)

    def _timestamper(self) -> Any:
        """Made for one signature too. The token that pyHanko measures beforehand is asked for once, and read anew each time."""
        if self._stamp is None:
            return None
        from asn1crypto import cms
        from pyhanko.sign.timestamps.api import TimeStamper

        stamp, sample = self._stamp, self._sample_token

        class Stamped(TimeStamper):  # type: ignore[misc]
            async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> Any:
                return cms.ContentInfo.load(stamp(message_digest))

            async def async_dummy_response(self, md_algorithm: str) -> Any:
                return cms.ContentInfo.load(sample())

        return Stamped()  # type: ignore[no-untyped-call]

    def _sample_token(self) -> bytes:
        """A token of this service, for the room that one takes in the PDF."""
        assert self._stamp is not None
        with self._sampling:
            self._sample = self._sample or self._stamp(bytes(32))
        return self._sample


_FIRST = threading.Lock()
_signed_once = threading.Event()


@contextmanager
def _first_alone() -> Iterator[None]:
    """asn1crypto fills the tables of each of its classes in at the class's first use, unlocked: until one signature of this process is
    whole, no second one is begun beside it."""
    if not _signed_once.is_set():
        with _FIRST:
            if not _signed_once.is_set():
                yield
                _signed_once.set()
                return
    yield


def digest(pdf: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(pdf).hexdigest()


def examine(pdf: bytes) -> Verdict:
    """What the signature of a PDF says, looked at in a child process: the file comes from anyone. At most `MOST_BYTES`."""
    if len(pdf) > MOST_BYTES or not pdf.startswith(b"%PDF-"):
        return Verdict("unreadable")
    try:
        found = json.loads(run_child("examine_pdf", [], pdf, timeout=_SECONDS, memory_mb=_MEMORY_MB))
    except ChildFailed:
        return Verdict("unreadable")
    return Verdict(found["state"], found.get("fingerprint", ""), found.get("number", ""), _moment(found, "signed_at"),
                   _moment(found, "timestamped"))


def _moment(found: dict[str, str], name: str) -> datetime | None:
    return datetime.fromisoformat(found[name]).astimezone(UTC) if found.get(name) else None
