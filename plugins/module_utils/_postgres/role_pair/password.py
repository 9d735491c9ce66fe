# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Passwords of roles without their clear text (private to ops.runbooks).

A statement with a password in it is in the server's log, in ``pg_stat_statements`` and in the error that quotes it. So
what is sent is a SCRAM verifier (RFC 5803), computed here by libpq with the number of iterations that the server asks
for. Where the verifier that the server keeps may be read, a password can be compared with it without a login.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session

#: Fewer characters can be guessed from a verifier, which is in backups of roles and in the server's log.
SHORTEST = 16
#: Characters that SASLprep (RFC 4013) leaves as they are, so that every client makes the same bytes of them.
_SAFE = re.compile(r"[\x21-\x7e]+")
_VERIFIER = re.compile(
    r"SCRAM-SHA-256\$(?P<iterations>\d{1,9}):(?P<salt>[A-Za-z0-9+/=]+)\$(?P<stored>[A-Za-z0-9+/=]+):[A-Za-z0-9+/=]+"
)


def check(password: str, role: str) -> None:
    """Raises ``invalid_parameter`` for a password that clients could read differently, or that can be guessed."""
    reason = None
    if len(password) < SHORTEST:
        reason = f"it is shorter than {SHORTEST} characters, so that it could be found out from its verifier"
    elif not _SAFE.fullmatch(password):
        reason = "it has characters beside printable ASCII, or blanks, of which not every client makes the same bytes"
    elif role.casefold() in password.casefold() and len(password) < SHORTEST + len(role):
        reason = "it is made of the role's name"
    if reason is not None:
        raise RunbookError(
            code="invalid_parameter",
            attempted="use a password",
            object=f"password of role {role}",
            reason=reason,
            remedy="Make one such as with `openssl rand -hex 32`; it needs no encoding in a URL either.",
        )


def verifier(session: Session, role: str, password: str) -> str:
    """What the server is sent instead of ``password``, made anew with each call, and as secret as that.

    libpq takes the number of iterations from what the server has reported (``scram_iterations``, PostgreSQL 16).
    """
    made = session.connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    if not matches(made, password):
        raise ValueError("libpq made a verifier of another form")
    return made


def matches(kept: str | None, password: str) -> bool | None:
    """Whether a verifier that the server keeps is the password's; None where it is no SCRAM verifier."""
    found = _VERIFIER.fullmatch(kept or "")
    if found is None:
        return None
    try:
        salt, stored = (base64.b64decode(found[name], validate=True) for name in ("salt", "stored"))
    except binascii.Error:
        return None
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, int(found["iterations"]))
    client = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
    return hmac.compare_digest(hashlib.sha256(client).digest(), stored)
