# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Identities, the secret halves of age recipients (private to ops.runbooks): who may read what is encrypted.

Three kinds are known: age's own (``AGE-SECRET-KEY-1...``) and SSH keys of type ed25519 and RSA, each as
https://age-encryption.org/v1 says. No message names one, and no other program is ever given one.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.age_reader import decode64, derive, unwrap
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.age_reader import Header, Stanza
    from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor

#: Options of every module that reads what is encrypted, documented in the fragment ``_store.age``.
IDENTITY_SPEC = ArgumentSpec(
    options={
        "age_identity": {"type": "str", "no_log": True},
        "age_identity_file": {"type": "path", "no_log": False},
    }
)

_LABEL = b"age-encryption.org/v1/"
_FILE_KEY = 16
_HUMAN = "age-secret-key-"
#: How identities begin that age has for plugins, such as those of hardware keys, and for post-quantum recipients.
_OTHERS_HUMAN = ("age-plugin-", "age-secret-key-pq-")
_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
#: An SSH key in a text.
_PEM = re.compile(r"^[ \t]*-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL | re.MULTILINE)
#: Bytes beyond which a file is no identity.
_LARGEST = 64 * 1024
_OTHERS = 0o077

#: Gives the file's key for the stanza that is for it, and None for every other.
_Identity = Callable[["Stanza"], "bytes | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """Some identities; ``origin`` names the option that they came from."""

    origin: str
    known: tuple[_Identity, ...] = field(repr=False)

    @classmethod
    def of(cls, params: Mapping[str, Any], redactor: Redactor) -> Identities:
        """Those of the options age_identity and age_identity_file; an empty one, such as of an unset variable, is none.

        Raises ``age_identity_missing`` without any, ``age_identity_unusable`` for what is none.
        """
        given = {name: params[name] for name in IDENTITY_SPEC.options if params.get(name)}
        if not given:
            raise RunbookError(
                code="age_identity_missing",
                attempted="decrypt with age",
                object="age_identity_file",
                reason="what is to be read is encrypted, and no identity was given",
                remedy="Give age_identity_file (runbooks_age_identity_file in an inventory) the file that age-keygen "
                "has made, or age_identity what is in it.",
            )
        if find_spec("cryptography") is None:
            raise RunbookError(
                code="library_missing",
                attempted="decrypt with age",
                object="cryptography",
                reason="this Python library is not installed for the interpreter that runs this module",
                remedy="Install it (python3 -m pip install cryptography), "
                "or set ansible_python_interpreter to one that has it.",
            )
        known: list[_Identity] = []
        for option, value in given.items():
            text = _read(value) if option == "age_identity_file" else value
            known += _parse(text, value if option == "age_identity_file" else option, redactor)
        return cls(origin=" and ".join(given), known=tuple(known))

    def file_key(self, header: Header, name: str) -> bytes:
        """The key of a file. Raises ``age_identity_wrong`` where it is for none of these."""
        for identity in self.known:
            for stanza in header.stanzas:
                key = identity(stanza)
                if key is not None and len(key) == _FILE_KEY:
                    return key
        kinds = [each.kind for each in header.stanzas if each.kind in ("X25519", "ssh-ed25519", "ssh-rsa", "scrypt")]
        raise RunbookError(
            code="age_identity_wrong",
            attempted="decrypt with age",
            object=name,
            reason=f"none of the identities of {self.origin} opens it; it is encrypted to recipients of the kinds "
            f"{', '.join(kinds) or 'that are not known here'}",
            remedy="Give the identity of one of the recipients that it was encrypted to.",
        )


def _read(path: str) -> str:
    """The text of a file that nobody else can read."""
    try:
        # A link is followed: secrets that are mounted into a container are links.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
                raise _unusable(path, "it is no file, or too large for an identity", "Correct the path.")
            if found.st_mode & _OTHERS:
                reason = f"others than its owner have rights on it ({stat.S_IMODE(found.st_mode):04o})"
                raise _unusable(path, reason, "Run chmod 600 on it, then run this again.")
            return stream.read(_LARGEST).decode("utf-8", "replace")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _unusable(path, reason, "Correct the path, or the rights of the file.") from error


def _parse(text: str, where: str, redactor: Redactor) -> list[_Identity]:
    redactor.protect(text.strip())
    found = [_ssh(key.encode(), where) for key in _PEM.findall(text)]
    lines = [line.strip() for line in _PEM.sub("", text).splitlines()]
    for line in (line for line in lines if line and not line.startswith("#")):
        redactor.protect(line)
        try:
            found.append(_x25519(_bech32(line)))
        except ValueError as error:
            reason = f"a line of it is no identity: {error}"
            raise _unusable(where, reason, "Give what age-keygen printed, AGE-SECRET-KEY-1 and more.") from None
    if not found:
        raise _unusable(where, "there is no identity in it", "Give what age-keygen printed, AGE-SECRET-KEY-1 and more.")
    return found


def _bech32(text: str) -> bytes:
    """The 32 bytes of ``AGE-SECRET-KEY-1...`` (BIP 173). Raises ValueError, which never quotes them."""
    if text != text.upper():
        raise ValueError("it is not in capital letters")
    human, _mark, data = text.lower().rpartition("1")
    if human.startswith(_OTHERS_HUMAN):
        raise ValueError("it is that of a plugin or a post-quantum one, and such kinds are not supported")
    if human != _HUMAN or not set(data) <= set(_ALPHABET):
        raise ValueError("it does not begin with AGE-SECRET-KEY-1, or has characters that it cannot have")
    values = [_ALPHABET.index(each) for each in data]
    number = int("".join(f"{value:05b}" for value in values[:-6]) or "0", 2)
    # 32 bytes are 52 letters, of which the last four bits are empty; six more are the checksum.
    if not is_whole(human, data) or len(values) != 58 or number & 15:
        raise ValueError("it is incomplete or mistyped")
    return (number >> 4).to_bytes(32, "big")


def is_whole(human: str, data: str) -> bool:
    """Whether ``<human>1<data>``, in small letters, ends in the checksum of what stands before it (BIP 173)."""
    if not set(data) <= set(_ALPHABET):
        return False
    check = 1
    values = [_ALPHABET.index(each) for each in data]
    for value in [*(ord(each) >> 5 for each in human), 0, *(ord(each) & 31 for each in human), *values]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            check ^= generator if (top >> bit) & 1 else 0
    return check == 1


def _x25519(secret: bytes) -> _Identity:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    key = X25519PrivateKey.from_private_bytes(secret)
    public = key.public_key().public_bytes_raw()

    def file_key(stanza: Stanza) -> bytes | None:
        share = _share(stanza, "X25519", 0)
        shared = None if share is None else _exchange(key, share)
        if share is None or shared is None:
            return None
        return unwrap(derive(shared, share + public, _LABEL + b"X25519"), stanza.body)

    return file_key


def _ssh(text: bytes, where: str) -> _Identity:
    """An SSH key without a passphrase."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    load = serialization.load_ssh_private_key if b"OPENSSH" in text else serialization.load_pem_private_key
    advice = "Give an SSH key of type ed25519 or RSA without a passphrase, or an identity of age's own."
    try:
        key = load(text.strip() + b"\n", None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _unusable(where, "it is no whole private key, or has a passphrase", advice) from None
    if isinstance(key, Ed25519PrivateKey):
        return _ssh_ed25519(key)
    if isinstance(key, RSAPrivateKey):
        return _ssh_rsa(key)
    raise _unusable(where, "age knows SSH keys of type ed25519 and RSA only", advice)


def _wire(key: Any) -> bytes:
    """The public key as SSH sends it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    text: bytes = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return decode64(text.split()[1].rstrip(b"="))


def _tag(wire: bytes) -> bytes:
    """By what a stanza names its SSH key."""
    return hashlib.sha256(wire).digest()[:4]


def _ssh_ed25519(key: Any) -> _Identity:
    """The signing key, turned into one for key exchange as RFC 8032 (5.1.5) turns a seed into its scalar."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    wire, seed = _wire(key), key.private_bytes_raw()
    own = X25519PrivateKey.from_private_bytes(hashlib.sha512(seed).digest()[:32])
    public = own.public_key().public_bytes_raw()
    label = _LABEL + b"ssh-ed25519"
    tweak = X25519PrivateKey.from_private_bytes(derive(b"", wire, label))

    def file_key(stanza: Stanza) -> bytes | None:
        share = _share(stanza, "ssh-ed25519", 1, _tag(wire))
        first = None if share is None else _exchange(own, share)
        shared = None if first is None else _exchange(tweak, first)
        if share is None or shared is None:
            return None
        return unwrap(derive(shared, share + public, label), stanza.body)

    return file_key


def _ssh_rsa(key: Any) -> _Identity:
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
    from cryptography.hazmat.primitives.hashes import SHA256

    wire = _wire(key)

    def file_key(stanza: Stanza) -> bytes | None:
        if (stanza.kind, _arguments(stanza)) != ("ssh-rsa", (_tag(wire),)):
            return None
        try:
            return bytes(key.decrypt(stanza.body, OAEP(MGF1(SHA256()), SHA256(), _LABEL + b"ssh-rsa")))
        except ValueError:
            return None

    return file_key


def _share(stanza: Stanza, kind: str, place: int, *before: bytes) -> bytes | None:
    """The ephemeral share among the arguments of a stanza of that kind, behind those that it has to begin with."""
    arguments = _arguments(stanza)
    if stanza.kind != kind or arguments[:place] != before or len(arguments) != place + 1:
        return None
    return arguments[place] if len(arguments[place]) == 32 else None


def _arguments(stanza: Stanza) -> tuple[bytes, ...]:
    try:
        return tuple(decode64(each.encode()) for each in stanza.arguments)
    except ValueError:
        return ()


def _exchange(key: Any, share: bytes) -> bytes | None:
    """The shared secret; None for a share that is made to give nothing away (RFC 7748, 6.1)."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    try:
        return bytes(key.exchange(X25519PublicKey.from_public_bytes(share)))
    except ValueError:
        return None


def identities(texts: Iterable[str], redactor: Redactor, origin: str = "age_identity") -> Identities:
    """Those in texts that were read already. Raises ``age_identity_unusable``."""
    return Identities(origin=origin, known=tuple(each for text in texts for each in _parse(text, origin, redactor)))


def _unusable(where: str, reason: str, remedy: str) -> RunbookError:
    return RunbookError(
        code="age_identity_unusable",
        attempted="use an age identity",
        object=where,
        reason=reason,
        remedy=remedy,
    )
