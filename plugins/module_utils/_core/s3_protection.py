# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a bucket protects what is deleted from it (private to ops.runbooks): versions and Object Lock.

A deletion without a version id succeeds even where Object Lock holds the object: it hides the object behind a
marker, and the version stays and is paid for (Amazon S3 user guide, "Object Lock considerations"). So whoever deletes
asks first.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Protection

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_client import Bucket

#: What stores answer that know nothing of the question, or have nothing of the kind.
_NONE = frozenset(
    {
        "ObjectLockConfigurationNotFoundError",
        "NoSuchObjectLockConfiguration",
        "InvalidRequest",
        "NotImplemented",
        "MethodNotAllowed",
        "501",
        "405",
    }
)


def protection(bucket: Bucket) -> Protection:
    """What the bucket keeps of what is deleted. A denied question is an answer too: it is not known.

    Suspended versioning keeps nothing of what is written from then on: it is overwritten, and gone when deleted.
    """
    unknown: list[str] = []
    versioning = _ask(bucket, "get_bucket_versioning", unknown)
    locking = _ask(bucket, "get_object_lock_configuration", unknown)
    enabled = (locking or {}).get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"
    return Protection(
        versioned=None if versioning is None else versioning.get("Status") == "Enabled",
        object_lock=None if locking is None else enabled,
        unknown=tuple(unknown),
    )


def locked(bucket: Bucket, key: str, now: datetime) -> str | None:
    """Why the object may not go yet; None where nothing locks it. What may not be asked counts as locked."""
    unknown: list[str] = []
    retention = _ask(bucket, "get_object_retention", unknown, key)
    legal_hold = _ask(bucket, "get_object_legal_hold", unknown, key)
    if unknown:
        return f"its lock is not known ({'; '.join(unknown)})"
    if (legal_hold or {}).get("LegalHold", {}).get("Status") == "ON":
        return "legal hold"
    until = (retention or {}).get("Retention", {}).get("RetainUntilDate")
    if until is not None and until.astimezone(UTC) > now:
        return f"Object Lock until {iso(until)}"
    return None


def _ask(bucket: Bucket, method: str, unknown: list[str], key: str = "") -> dict[str, Any] | None:
    call: Callable[..., dict[str, Any]] = bucket.call
    try:
        return call(method, "ask how the store protects its objects", key, accept=_NONE)
    except RunbookError as error:
        if error.code != "store_denied":
            raise
        unknown.append(f"{(error.details or {}).get('denied_action', method)} is denied")
        return None
