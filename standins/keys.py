"""Keys of a demonstration: RSA pairs of both sides of the stand-in payment gateway, and the key that certificates are signed with."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

SIGNING = ("signing_private", "signing_certificate")
SIGNER = "建设工人培训管理（演示）"
NAMES = ("app_private", "app_public", "alipay_private", "alipay_public")


def ensure_keys(directory: Path) -> dict[str, Path]:
    """Paths of the PEM files, drawn at the first call. Two processes that start at once end with the same keys."""
    home = directory / "keys"
    if not home.is_dir():
        _draw(directory, home)
    signing = directory / "signing"
    if not signing.is_dir():
        _draw_signing(directory, signing)
    return {name: home / f"{name}.pem" for name in NAMES} | {name: signing / f"{name}.pem" for name in SIGNING}


def _draw(directory: Path, home: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".keys-", dir=directory))
    for side in ("app", "alipay"):
        private, public = draw_pair()
        for name, text in ((f"{side}_private", private), (f"{side}_public", public)):
            path = fresh / f"{name}.pem"
            path.write_bytes(text)
            path.chmod(0o600)
    _settle(fresh, home)


def _draw_signing(directory: Path, home: Path) -> None:
    """A key for signing, with a certificate for five years that it has signed itself."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    directory.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".signing-", dir=directory))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"), x509.NameAttribute(NameOID.COMMON_NAME, SIGNER)])
    at = datetime.now(UTC)
    own = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
           .serial_number(x509.random_serial_number()).not_valid_before(at - timedelta(days=1)).not_valid_after(at + timedelta(days=1826))
           .sign(key, hashes.SHA256()))
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for file_name, text in zip(SIGNING, (private, own.public_bytes(serialization.Encoding.PEM)), strict=True):
        path = fresh / f"{file_name}.pem"
        path.write_bytes(text)
        path.chmod(0o600)
    _settle(fresh, home)


def _settle(fresh: Path, home: Path) -> None:
    try:
        os.rename(fresh, home)  # the whole set or nothing; fails where another process was faster
    except OSError:
        shutil.rmtree(fresh)
        if not home.is_dir():
            raise


def draw_pair() -> tuple[bytes, bytes]:
    """A private and a public key, as PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public
