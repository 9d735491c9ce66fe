# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps secrets inside a module (private to ops.runbooks).

ansible-core 2.19 and later print module messages, exceptions and warnings even under ``no_log: true``. So every text
that leaves a module goes through one :class:`Redactor`, which knows the secrets and the forms in which libraries and
tools echo them (URL-quoted, base64, JSON-escaped, repr), and which cuts the password out of any URL or DSN it sees.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "********"
#: Shorter values are not searched for: masking "a" everywhere hides the message and protects nothing.
SHORTEST = 4
#: A value that is only recognised as secret by where it was found, such as an environment variable's name, is masked
#: from this length on: shorter ones are often words.
SHORTEST_GUESS = 8

_URL_PASSWORD = re.compile(r"(?P<head>\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@'\"]*:)(?P<secret>[^\s'\"]*)(?=@)")
_DSN_PASSWORD = re.compile(r"(?P<head>\b(?:pass(?:word)?|PGPASSWORD)\s*=\s*)(?P<secret>'(?:[^'\\]|\\.)*'|[^\s'\"&]+)")
_SIGNATURE = re.compile(r"(?P<head>(?:X-Amz-Signature|X-Amz-Security-Token|Signature)=)(?P<secret>[^\s&'\"]+)")
_HEADER = re.compile(r"(?P<head>(?i:authorization)['\"]?\s*[:=]\s*['\"]?(?:(?:Bearer|Basic)\s+)?)(?P<secret>[^\s'\"]+)")
#: The secret half of an age recipient, which is met where somebody took it for the other half.
_IDENTITY = re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]+", re.IGNORECASE)
_WORD = re.compile(r"[a-z][a-z_]{0,30}")
_SECRET_VARIABLE = re.compile(r"(?:^|_)(?:PASSWORD|PGPASSWORD|SECRET|TOKEN|SECRET_KEY|SECRET_ACCESS_KEY|PRIVATE_KEY)$")


class Redactor:
    """Knows the secrets of one module run and takes them out of everything that is about to leave it.

    Threads may call it at any time. ``on_protect`` is told each form of each secret, for AnsibleModule's own masking.
    """

    def __init__(self, on_protect: Callable[[str], None] | None = None) -> None:
        # Longest first: a secret that is part of another one must not break it up.
        self._secrets: tuple[str, ...] = ()
        self._on_protect = on_protect
        self._lock = threading.Lock()

    def protect(self, value: str | None) -> None:
        """Treat ``value``, and the forms that others may print it in, as secret from now on."""
        if not value or len(value) < SHORTEST:
            return
        forms = set(_forms(value))
        with self._lock:
            new = forms.difference(self._secrets)
            self._secrets = tuple(sorted(new.union(self._secrets), key=len, reverse=True))
        if self._on_protect is not None:
            for form in sorted(new):
                self._on_protect(form)

    def protect_within(self, text: str) -> None:
        """Treat the password of each URL in ``text`` as secret, as it stands there and unquoted; and age identities."""
        for identity in _IDENTITY.findall(text):
            self.protect(identity)
        for match in _URL_PASSWORD.finditer(text):
            self.protect(match["secret"])
            self.protect(unquote(match["secret"]))

    def protect_environment(self, environ: Mapping[str, str]) -> None:
        """Treat as secret what an environment holds of them, by the names of its variables and in URLs."""
        for name, value in environ.items():
            if _SECRET_VARIABLE.search(name) and len(value) >= SHORTEST_GUESS:
                self.protect(value)
            self.protect_within(value)

    def text(self, text: str) -> str:
        """``text`` with known secrets, and passwords of any URL or DSN, masked; lone surrogates become ``?``."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        text = masked(text)
        # ansible-core 2.19 refuses module output that is not UTF-8.
        return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")

    def value(self, value: Any) -> Any:
        """``value`` with every string in it redacted, keys included; numbers and None as they are."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {_key(key) or self.value(key): self.value(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.value(inner) for inner in value]
        if value is None or isinstance(value, (bool, int, float)):
            return value
        return self.text(str(value))


def masked(text: str) -> str:
    """``text`` with what is a password by where it stands masked, in a URL, a DSN or a header; and age identities.

    For what is cut where no redactor is at hand: of half a URL nobody could tell any more.
    """
    if ":" in text or "=" in text:
        for pattern in (_URL_PASSWORD, _DSN_PASSWORD, _SIGNATURE, _HEADER):
            text = pattern.sub(rf"\g<head>{MASK}", text)
    return _IDENTITY.sub(MASK, text)


def _key(key: Any) -> str | None:
    """A key that is plainly a word of our own: a password that is the same word must not take results apart."""
    return key if isinstance(key, str) and _WORD.fullmatch(key) else None


def _forms(value: str) -> Iterator[str]:
    """The ways in which a secret is met in output: as it is, quoted for URLs, escaped, base64."""
    for text in _texts(value):
        if len(text) >= SHORTEST:
            yield text
    yield from _base64(value.encode("utf-8", "surrogateescape"))


def _texts(value: str) -> Iterator[str]:
    yield value
    yield value.strip()
    yield quote(value, safe="")
    yield quote(value)
    yield quote_plus(value)
    for ascii_only in (True, False):
        once = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield once
        # An answer of a service, quoted in a message that is itself JSON.
        yield json.dumps(once, ensure_ascii=ascii_only)[1:-1]
    yield repr(value)[1:-1]
    yield value.replace("'", "''")
    yield value.replace("\\", "\\\\").replace("'", "\\'")
    if "\n" in value:
        # A key of several lines is often quoted by one of them.
        yield from (line for line in value.splitlines() if len(line) >= 2 * SHORTEST_GUESS)


def _base64(raw: bytes) -> Iterator[str]:
    """``raw`` in base64 in both alphabets, alone and in the middle of something else (``user:password``).

    Base64 writes three bytes as four characters, so that there are three ways to begin; only the characters that no
    neighbouring byte has a part in are searched for, and only where enough of them are left to be no coincidence.
    """
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            whole = (len(raw) + shift) // 3 * 4
            inner = encode(bytes(shift) + raw)[4 if shift else 0 : whole].decode()
            if len(inner) >= SHORTEST_GUESS:
                yield inner
        yield encode(raw).decode()
        yield encode(raw).decode().rstrip("=")
