"""RSA keys of both sides of the stand-in payment gateway: the merchant's pair and the gateway's."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

NAMES = ("app_private", "app_public", "alipay_private", "alipay_public")


def ensure_keys(directory: Path) -> dict[str, Path]:
    """Paths of the four PEM files, drawn at the first call. Two processes that start at once end with the same keys."""
    home = directory / "keys"
    if not home.is_dir():
        _draw(directory, home)
    return {name: home / f"{name}.pem" for name in NAMES}


def _draw(directory: Path, home: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".keys-", dir=directory))
    for side in ("app", "alipay"):
        private, public = _pair()
        for name, text in ((f"{side}_private", private), (f"{side}_public", public)):
            path = fresh / f"{name}.pem"
            path.write_bytes(text)
            path.chmod(0o600)
    try:
        os.rename(fresh, home)  # the whole set or nothing; fails where another process was faster
    except OSError:
        shutil.rmtree(fresh)
        if not home.is_dir():
            raise


def _pair() -> tuple[bytes, bytes]:
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
