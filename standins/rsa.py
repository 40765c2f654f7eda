"""RSA2 signatures as Alipay makes them: RSA with SHA-256 over sorted `name=value&...`, in base64."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


class Signer:
    """Signs as the gateway and verifies the merchant, with their keys as PEM."""

    def __init__(self, own_private: bytes, merchants_public: bytes) -> None:
        own = serialization.load_pem_private_key(own_private, None)
        theirs = serialization.load_pem_public_key(merchants_public)
        assert isinstance(own, rsa.RSAPrivateKey)
        assert isinstance(theirs, rsa.RSAPublicKey)
        self._own, self._theirs = own, theirs

    def sign(self, text: str) -> str:
        return base64.b64encode(self._own.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()

    def signed(self, fields: Mapping[str, str], *, with_type: bool) -> dict[str, str]:
        """The fields with their signature; notifications and returns leave `sign_type` out of what is signed."""
        covered = {k: v for k, v in fields.items() if k != "sign" and (with_type or k != "sign_type")}
        return {**fields, "sign": self.sign(canonical(covered))}

    def is_merchants(self, fields: Mapping[str, str]) -> bool:
        """Whether the merchant signed this request (its `sign_type` is covered)."""
        covered = {k: v for k, v in fields.items() if k != "sign" and v != ""}
        try:
            signature = base64.b64decode(fields.get("sign", ""), validate=True)
            self._theirs.verify(signature, canonical(covered).encode(), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


def canonical(fields: Mapping[str, str]) -> str:
    return "&".join(f"{name}={fields[name]}" for name in sorted(fields))
