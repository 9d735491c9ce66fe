# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where values of secrets are kept while they are needed, as it is declared (private to ops.runbooks); pure.

What would lie in the clear is refused, but for a sandbox. A sandbox is an environment that is called so and whose
store is on this machine: neither a name alone nor a setting makes one of what others can reach.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import is_loopback
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import refused

#: The kinds of places. Another one is added here, to ``vaults.py`` and to the choices in ``options.py``.
KEY, AGE, KMS, MANAGER, PROVIDER, CLEAR = "key", "age", "sse_kms", "aws_secret", "provider", "none"
#: The environment that a sandbox is.
SANDBOX = "sandbox"
#: What each kind does with a new value, for plans.
SAID: Mapping[str, str] = {
    KEY: "keep it encrypted until it is in use",
    AGE: "keep it encrypted with age until it is in use",
    KMS: "keep it encrypted by KMS until it is in use",
    MANAGER: "keep it in AWS Secrets Manager until it is in use",
    PROVIDER: "read it again at its provider until it is in use",
    CLEAR: "keep it in the clear, in this sandbox, until it is in use",
}
#: What stands before the names of secrets of Secrets Manager that hold values.
PREFIX = "ops.runbooks"
_PREFIX = re.compile(r"[A-Za-z0-9_+=.@-]+(/[A-Za-z0-9_+=.@-]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One place. ``options`` are all as they were given, such as those with which AWS is reached."""

    type: str = KEY
    age_recipients: tuple[str, ...] = ()
    kms_key_id: str | None = None
    encryption_context: tuple[tuple[str, str], ...] = ()
    secret_prefix: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    @property
    def in_manager(self) -> bool:
        """Whether values may lie in Secrets Manager, be it from before the type was another one."""
        return self.type == MANAGER or bool(self.secret_prefix)


def read_kept(given: Mapping[str, Any] | None) -> Kept:
    """From the option kept_in. Raises ``invalid_parameter``."""
    if not given:
        return Kept()
    kept = Kept(
        type=given["type"],
        age_recipients=tuple(given["age_recipients"]),
        kms_key_id=given["kms_key_id"] or None,
        encryption_context=tuple(sorted((str(key), str(text)) for key, text in given["encryption_context"].items())),
        secret_prefix=given["secret_prefix"] or "",
        options=given,
    )
    if kept.type == AGE and not kept.age_recipients:
        reason = "one of type age needs age_recipients"
        raise refused("kept_in", kept.type, reason, "Make an identity with age-keygen, and give its public key.")
    if kept.encryption_context and kept.type != KMS:
        remedy = "Leave it out; Secrets Manager has one of its own."
        raise refused("kept_in", kept.type, "encryption_context is for type sse_kms", remedy)
    if kept.kms_key_id and kept.type not in (KMS, MANAGER):
        raise refused("kept_in", kept.type, "kms_key_id is for the types sse_kms and aws_secret", "Leave it out.")
    if kept.secret_prefix and not _PREFIX.fullmatch(kept.secret_prefix):
        reason = "secret_prefix has letters, digits, and _ + = . @ -, in parts between /"
        raise refused("kept_in", kept.secret_prefix, reason, f"Write it like {PREFIX} or acme/runbooks.")
    return kept


def in_sandbox(environment: str, store: str, endpoint: str | None) -> bool:
    """Whether an environment is a sandbox: called so, with its store on this machine."""
    if environment != SANDBOX:
        return False
    try:
        here = store.startswith("file://") or is_loopback(urlsplit(endpoint or "").hostname or "")
    except ValueError:
        return False
    return here


def refuse_clear(kept: Kept, secret: str, environment: str, store: str, endpoint: str | None) -> None:
    """Raises ``values_unencrypted`` where values would lie in the clear, outside a sandbox."""
    if kept.type == CLEAR and not in_sandbox(environment, store, endpoint):
        reason = (
            f"kept_in is of type none, so that its values would lie in {store} in the clear, which is for an "
            f"environment called {SANDBOX} with its store on this machine alone"
        )
        raise unencrypted(secret, reason)
    if kept.type == KMS and not store.startswith("s3://"):
        raise unencrypted(secret, f"kept_in is of type sse_kms, and {store} is a directory, which encrypts nothing")


def unencrypted(secret: str, reason: str) -> RunbookError:
    """The failure for a place in which values would lie in the clear."""
    return RunbookError(
        code="values_unencrypted",
        attempted="keep values of a secret",
        object=f"secret {secret}",
        reason=reason,
        remedy="Set kept_in to a type that encrypts: key (the default), age, sse_kms in a bucket, or aws_secret.",
    )
