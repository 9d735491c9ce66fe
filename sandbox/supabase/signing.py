# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tokens as the stand-in for Supabase signs them, and as anybody verifies them with what is published."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from sandbox.supabase.model import SigningKey

_ES256 = ec.ECDSA(hashes.SHA256())


def private_key(algorithm: str) -> str:
    """A new one: PEM for ES256, a shared secret for HS256."""
    if algorithm == "HS256":
        return secrets.token_urlsafe(48)
    raw = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return raw.decode()


def public_jwk(key: SigningKey) -> dict[str, Any] | None:
    """What is published of a key; None of a shared secret."""
    if key.algorithm == "HS256":
        return None
    point = _loaded(key).public_key().public_numbers()
    coordinates = {name: _text(number.to_bytes(32, "big")) for name, number in (("x", point.x), ("y", point.y))}
    return {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": key.id, **coordinates}


def sign(key: SigningKey, claims: Mapping[str, Any]) -> str:
    """A token."""
    parts = [{"alg": key.algorithm, "typ": "JWT", "kid": key.id}, dict(claims)]
    text = ".".join(_text(json.dumps(each).encode()) for each in parts)
    if key.algorithm == "HS256":
        return f"{text}.{_text(hmac.new(key.private.encode(), text.encode(), sha256).digest())}"
    first, second = decode_dss_signature(_loaded(key).sign(text.encode(), _ES256))
    return f"{text}.{_text(first.to_bytes(32, 'big') + second.to_bytes(32, 'big'))}"


def good(key: SigningKey, token: str, now: int) -> bool:
    """Whether a token was signed by this key, and has not expired by ``now`` (milliseconds)."""
    text, _dot, signature = token.rpartition(".")
    claims = _claims(token)
    if claims is None or int(claims.get("exp", 0)) * 1000 <= now:
        return False
    if key.algorithm == "HS256":
        return hmac.compare_digest(_raw(signature), hmac.new(key.private.encode(), text.encode(), sha256).digest())
    return _verifies(_loaded(key).public_key(), text, _raw(signature))


def verified(token: str, published: Iterable[Mapping[str, Any]]) -> bool:
    """What an API of its own does, that trusts the published keys alone."""
    text, _dot, signature = token.rpartition(".")
    kid = key_id(token)
    for each in published:
        if each["kid"] == kid:
            x, y = (int.from_bytes(_raw(str(each[name])), "big") for name in ("x", "y"))
            return _verifies(ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key(), text, _raw(signature))
    return False


def key_id(token: str) -> str:
    """By which key a token says that it was signed."""
    try:
        return str(json.loads(_raw(token.split(".")[0])).get("kid", ""))
    except (ValueError, AttributeError):
        return ""


def _verifies(key: ec.EllipticCurvePublicKey, text: str, signature: bytes) -> bool:
    half = len(signature) // 2
    pair = (int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
    try:
        key.verify(encode_dss_signature(*pair), text.encode(), _ES256)
    except InvalidSignature:
        return False
    return True


def _claims(token: str) -> Mapping[str, Any] | None:
    try:
        claims = json.loads(_raw(token.split(".")[1]))
    except (ValueError, IndexError):
        return None
    return claims if isinstance(claims, dict) else None


def _loaded(key: SigningKey) -> ec.EllipticCurvePrivateKey:
    found = serialization.load_pem_private_key(key.private.encode(), None)
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{key.id} is no key of ES256")
    return found


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
