# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the store knows of verifications (private to ops.runbooks): when a backup was last looked at, and how closely.

Beside each manifest lies a series of documents for each level, ``verified/<level>``. The newest of all backups of a
database is remembered a second time, in ``verifications/<level>`` of the database, so that its age is one request.
Neither is what makes a backup count or not: that is the verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.codec import decode, encode
from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Document, Series
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest

#: How closely a backup can be looked at. Each level does all that the one before it does.
LEVELS = ("checksum", "archive", "restore")
_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """One verification that ended well. ``whole`` is False where the server could not show all of the backup.

    ``run_token`` is that of the backup: its id can be taken again, and what was seen is not of another one then.
    """

    backup_id: str
    level: str
    at: datetime
    bytes: int
    seconds: float
    run_id: str
    verify_id: str | None = None
    whole: bool = True
    facts: dict[str, Any] = field(default_factory=dict)
    run_token: str = ""

    def shows(self, manifest: Manifest) -> bool:
        """Whether it says that a backup like this one can be read, and not only one that is encrypted to fewer, or not
        at all: nobody knows then whether there is an identity that opens this one.
        """
        if manifest.encryption != "age":
            return True
        said = self.facts.get("age_recipients")
        known = said if self.facts.get("decrypted") is True and isinstance(said, list) else []
        return all(each in known for each in manifest.age_recipients)


class Verifications:
    """What is on record for one database. Written only under a lock."""

    def __init__(self, backups: Backups, context: Context) -> None:
        self._backups = backups
        self._context = context

    def of_backup(self, manifest: Manifest, level: str) -> list[Verified]:
        """The newest verification of a backup at that level, and at each closer one."""
        found = self._read(lambda each: self._of_backup(manifest.backup_id, each), level)
        return [each for each in found if each.run_token == manifest.run_token]

    def of_database(self, level: str) -> list[Verified]:
        """The newest verification of any backup at that level, and at each closer one."""
        return self._read(self._of_database, level)

    def last_proof(self, like: Manifest | None = None) -> Verified | None:
        """The newest drill that proved all of a backup; of one ``like`` that, if there was any."""
        series = self._of_database(LEVELS[-1])
        current = series.current()
        found = [] if current is None else [_verified(current, series.where)]
        if found and not _proves(found[0], like):
            found = [_verified(each, series.where) for each in series.history()]
        proofs = [each for each in reversed(found) if each.whole]
        return next((each for each in proofs if _proves(each, like)), proofs[0] if proofs else None)

    def named(self, manifest: Manifest, level: str, verify_id: str) -> Verified | None:
        """The verification of a backup that was given this identity."""
        series = self._of_backup(manifest.backup_id, level)
        for document in series.history():
            if (document.body.get("verify_id"), document.body.get("run_token")) == (verify_id, manifest.run_token):
                return _verified(document, series.where)
        return None

    def write(self, verified: Verified) -> None:
        """Record a verification, beside its backup first: what is remembered of the database follows from that."""
        body: dict[str, Any] = encode(verified)
        for series in (self._of_backup(verified.backup_id, verified.level), self._of_database(verified.level)):
            current = series.current()
            self._context.effect(f"record the verification of backup {verified.backup_id}")
            if series.create_next(body, after=current.number if current else 0) is None:
                raise RunbookError(
                    code="lock_lost",
                    attempted=f"record the verification of backup {verified.backup_id}",
                    object=series.where,
                    reason="another run recorded one at the same time",
                    remedy="Run the same command again.",
                )

    def _read(self, series_of: Any, level: str) -> list[Verified]:
        found = []
        for each in LEVELS[LEVELS.index(level) :]:
            series = series_of(each)
            document = series.current()
            if document is not None:
                found.append(_verified(document, series.where))
        return found

    def _of_backup(self, backup_id: str, level: str) -> Series:
        return self._series(f"{self._backups.prefix(backup_id)}verified/{level}")

    def _of_database(self, level: str) -> Series:
        return self._series(f"{self._backups.environment}/databases/{self._backups.name}/verifications/{level}")

    def _series(self, document: str) -> Series:
        return Series(self._backups.store, document, schema=_SCHEMA, create=self._backups.create)


def _proves(verified: Verified, like: Manifest | None) -> bool:
    return verified.whole and (like is None or verified.shows(like))


def _verified(document: Document, where: str) -> Verified:
    body: Mapping[str, Any] = document.body
    facts = body.get("facts")
    try:
        found = decode(Verified, {**body, "facts": {}})
        if not isinstance(facts, dict) or found.level not in LEVELS:
            raise ValueError("it has no facts, or an unknown level")
    except (KeyError, TypeError, ValueError, RunbookError) as error:
        raise RunbookError(
            code="object_corrupt",
            attempted="read what is known of a verification",
            object=where,
            reason="it is not a record of a verification",
            remedy="Find out who changed this object, and move it away.",
        ) from error
    found.facts.update(facts)
    return found
