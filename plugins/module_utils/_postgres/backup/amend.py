# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may still change about a backup that exists (private to ops.runbooks): its index key, suspicion, hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import verdict as verdicts
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.shrink import refusal
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verdict import Verdict

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups

#: What is written down where nobody says why.
NO_REASON = "no reason was given"
ACCEPTED = "accepted by accept_shrink"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """That a backup is to be held, and why, or is not; ``wanted`` None leaves that as it is."""

    wanted: bool | None = None
    reason: str | None = None

    def differs(self, found: Verdict) -> bool:
        """Whether something is to be done."""
        if self.wanted is None or self.wanted != found.held:
            return self.wanted is not None
        return self.wanted and self.reason is not None and self.reason != found.hold_reason

    def of(self, found: Verdict) -> Verdict:
        """The verdict with this hold."""
        if not self.differs(found):
            return found
        return verdicts.with_hold(found, bool(self.wanted), (self.reason or NO_REASON) if self.wanted else None)

    def set(self, backups: Backups, manifest: Manifest, context: Context) -> None:
        """Write it down."""
        verdicts.set_held(backups, manifest, bool(self.wanted), self.reason or NO_REASON, context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """The changes that are due, each with its sentence, and the verdict then."""

    index: bool
    accept: bool
    hold: bool
    verdict: Verdict
    steps: tuple[str, ...]
    before: dict[str, Any]
    after: dict[str, Any]


def amend(
    manifest: Manifest, found: Verdict, *, indexed: bool, hold: Hold, accept_shrink: bool, where: str
) -> Amendment:
    """What is due; pure. Raises ``backup_shrunk`` and ``backup_unusable`` for a backup that does not count."""
    accept = found.suspect_cause == "shrunk" and accept_shrink
    if not found.good and not accept:
        raise refusal(manifest, found, where)
    then = hold.of(verdicts.accepted(found) if accept else found)
    holding = hold.differs(found)
    name = f"backup {manifest.backup_id}"
    steps = {
        f"write the index key of {name}, whose run ended before it did": not indexed,
        f"accept that the database has shrunk, so that {name} counts": accept,
        f"hold {name}, so that nobody deletes it: {then.hold_reason}": holding and then.held,
        f"let {name} go, so that it may be deleted": holding and not then.held,
    }
    changes: dict[str, tuple[Any, Any, bool]] = {
        "indexed": (False, True, not indexed),
        "state": (found.state, then.state, accept),
        "held": (found.held, then.held, holding),
        "hold_reason": (found.hold_reason, then.hold_reason, holding),
    }
    return Amendment(
        index=not indexed,
        accept=accept,
        hold=holding,
        verdict=then,
        steps=tuple(step for step, due in steps.items() if due),
        before={key: before for key, (before, _after, due) in changes.items() if due},
        after={key: after for key, (_before, after, due) in changes.items() if due},
    )


def fresh_suspect(backups: Backups, selection_hash: str, since: datetime, until: datetime) -> Manifest | None:
    """The newest backup of a selection since then that does not count because the database had shrunk; None where
    there is none whose archives are all there.

    Where age alone decides whether another one is due, it would be found no smaller by taking it over and over.
    """
    for listed in reversed(list(backups.listed(since=since, until=until))):
        if listed.entry.selection_hash != selection_hash or "suspect" not in listed.marks:
            continue
        try:
            manifest = backups.by_id(listed.entry.backup_id)
            backups.require_objects(manifest)
        except RunbookError as error:
            if error.code not in ("object_corrupt", "object_missing", "document_too_new", "backup_not_found"):
                raise
            continue
        # The manifest itself says that the database had shrunk; a mark alone does not say why.
        if backups.judge(listed, manifest).suspect_cause == "shrunk":
            return manifest
    return None


def carry_out(due: Amendment, backups: Backups, manifest: Manifest, hold: Hold, context: Context) -> None:
    """Make the changes, what protects first."""
    if due.hold and due.verdict.held:
        hold.set(backups, manifest, context)
    if due.index:
        backups.write_index(manifest)
    if due.accept:
        verdicts.set_suspicion(backups, manifest, False, "shrunk", ACCEPTED, context)
    if due.hold and not due.verdict.held:
        hold.set(backups, manifest, context)
