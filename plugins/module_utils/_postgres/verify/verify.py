# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module postgres_backup_verify (private to ops.runbooks): is a backup still what it promises to be?

It reads the store and never connects to the database that was backed up. A backup that turns out to be damaged is
called suspect, so that nobody counts on it any more: the one change that a failure leaves behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import tools, verdict
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.drill.drill import (
    PRIVATE,
    Drill,
    programs,
    require_another_server,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.drill.scratch import Scratches
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.sealed import Opened
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verify import read as verify_read
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verify.options import VERIFY_SPEC, Options
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verify.plan import (
    VerifyState,
    decide,
    result_of,
    settled,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verify.verified import (
    LEVELS,
    Verifications,
    Verified,
)

#: What makes a backup suspect. Everything else that can go wrong says nothing about it.
_DAMAGE = ("object_missing", "object_corrupt")
#: How many majors newer than the backup pg_restore may be.
_NEWER = 3


class Verify(Operation[VerifyState, Plan]):
    """Look at a backup as closely as was asked for."""

    noun: ClassVar[str] = "verification"
    spec: ClassVar[ArgumentSpec] = VERIFY_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self.options = Options.of(params)
        self._condemned: str | None = None
        self._seen: Manifest | None = None
        self._began = context.clock.monotonic()

    def observe(self) -> VerifyState:
        """Which backup, what is known of it, and what can be seen without reading it."""
        options, manifest = self.options, self._choose()
        self._seen = manifest
        judged, now = self._backups.verdict_on(manifest), self.context.clock.now()
        known = self._known(manifest, judged)
        damage = None if known is not None else verify_read.glance(self.store, manifest)
        if known is None and damage is None and options.level != LEVELS[0]:
            damage = self._unreadable(manifest)
        if damage is not None and self.context.check_mode:
            raise _explained(damage, "The real run calls the backup suspect.")
        return VerifyState(
            identity=options.verify_id or f"{manifest.backup_id}-{options.level}",
            level=options.level,
            manifest=manifest,
            verdict=judged,
            now=now,
            known=known,
            damage=damage,
            tool=self._tool(manifest) if known is None and options.level == "archive" else None,
            drill_on=self._drill_on(manifest) if known is None and options.level == "restore" else None,
        )

    def plan(self, state: VerifyState) -> Plan:
        """See :func:`decide`."""
        return decide(state)

    def act(self, state: VerifyState, plan: Plan) -> Mapping[str, Any]:
        """Look, and record what was seen: a verification, or that the backup is damaged."""
        began = self.context.clock.monotonic()
        try:
            if state.damage is not None:
                raise state.damage
            facts = self._look(state)
        except RunbookError as error:
            # Other documents can be damaged too, which says nothing about the backup.
            if error.code in _DAMAGE and any(key in error.object for key in state.manifest.keys):
                self._condemn(state, error)
            raise
        seconds = round(self.context.clock.monotonic() - began, 3)
        clears = state.clears and not facts.get("not_provable_here")
        if clears:
            self._clear(state)
        verified = Verified(
            backup_id=state.manifest.backup_id,
            level=state.level,
            at=self.context.clock.now(),
            bytes=state.manifest.bytes,
            seconds=seconds,
            run_id=self.context.run_id,
            verify_id=self.options.verify_id,
            whole=not facts.get("not_provable_here"),
            facts=facts,
            run_token=state.manifest.run_token,
        )
        if facts.get("proven"):
            evidence = {**facts, "run_id": self.context.run_id, "bytes": verified.bytes}
            verdict.set_proven(self._backups, state.manifest, evidence, self.context)
        self._verifications.write(verified)
        after = replace(state, verdict=self._backups.verdict_on(state.manifest))
        return {**result_of(after, verified), "suspicion_cleared": clears and not state.shrunk}

    def resources(self, plan: Plan) -> tuple[str, ...]:
        """Its own resource and not the database: backups are taken while one of them is being read."""
        return (f"verification/{self.options.name}",)

    def context_of_failure(self) -> Mapping[str, Any]:
        """Which backup it was about, and what became of it."""
        known = {"backup": {"id": self._seen.backup_id}} if self._seen is not None else {}
        return {**known, "level": self.options.level, "called_suspect": self._condemned}

    # looking

    def _look(self, state: VerifyState) -> dict[str, Any]:
        """Read everything, as closely as was asked for; returns what only that tells."""
        manifest = state.manifest if state.level == LEVELS[0] else self._opened.manifest(state.manifest)
        facts: dict[str, Any] = {"tables": None}
        if state.drill_on is not None:
            scratches = Scratches(self.state_store, self.options.environment, self.options.name, self.context)
            drill = Drill(self.options, manifest, source=self._opened, scratches=scratches, context=self.context)
            facts = drill.run()
        elif state.tool is None:
            for archive in manifest.archives:
                verify_read.read_object(self.store, archive, self._on_progress)
        else:
            heads = [
                verify_read.read_archive(self._opened, archive, state.tool, self._on_progress, self.context)
                for archive in manifest.archives
            ]
            facts["tables"] = verify_read.require_contents(self.store, manifest, heads)
        if manifest.globals is not None:
            source = self.store if state.level == LEVELS[0] else self._opened
            verify_read.read_object(source, manifest.globals, self._on_progress)
        decrypted = state.level != LEVELS[0] and manifest.encryption == "age"
        return {**facts, "decrypted": decrypted, "age_recipients": list(manifest.age_recipients)}

    def _unreadable(self, manifest: Manifest) -> RunbookError | None:
        """What is wrong with how a backup is encrypted, as damage. Raises where only the right identity is lacking."""
        try:
            self._opened.require(manifest)
        except RunbookError as error:
            if error.code not in _DAMAGE:
                raise
            return error
        return None

    def _on_progress(self, read: int) -> None:
        self.context.controller.check("go on reading")
        self.context.progress(bytes_read=read)
        limit = self.options.timeout
        if limit is not None and self.context.clock.monotonic() - self._began > limit.total_seconds():
            raise RunbookError(
                code="timed_out",
                attempted=verify_read.ATTEMPTED,
                object=self._backups.label,
                reason=f"the time limit of {limit.total_seconds():.0f} s has passed",
                remedy="Nothing was recorded. Raise timeout, then run this again.",
            )

    def _suspect(self, state: VerifyState, error: RunbookError) -> None:
        names = (self._backups, state.manifest, True, "damaged", _why(error), self.context)
        verdict.set_suspicion(*names, level=state.level)

    def _clear(self, state: VerifyState) -> None:
        """Take back that the backup is damaged. That the database had shrunk is still for somebody to accept."""
        reason = f"a verification at level {state.level} found all of it whole"
        if state.shrunk:
            said = state.manifest.suspect_reason or "its manifest says so"
            verdict.set_suspicion(self._backups, state.manifest, True, "shrunk", said, self.context)
        else:
            verdict.set_suspicion(self._backups, state.manifest, False, "damaged", reason, self.context)

    def _condemn(self, state: VerifyState, error: RunbookError) -> None:
        """Call the backup suspect, and say so in the failure. One that was deleted meanwhile is not damaged."""
        backup_id = state.manifest.backup_id
        if self._backups.manifest(backup_id) is None:
            raise RunbookError(
                code="backup_not_found",
                attempted=verify_read.ATTEMPTED,
                object=f"backup {backup_id} of {self._backups.label}",
                reason="it was deleted while it was being read",
                remedy="Verify another one.",
            ) from error
        outcome = f"Backup {backup_id} was called suspect before."
        if not state.clears:
            try:
                self._suspect(state, error)
                outcome = f"Backup {backup_id} is called suspect from now on, and counts for nothing any more."
            except RunbookError as failure:
                outcome = f"Backup {backup_id} could not be called suspect, and still counts: {failure.reason}."
        self._condemned = outcome
        raise _explained(error, outcome) from error

    # reading what is known

    def _choose(self) -> Manifest:
        options = self.options
        if options.backup is not None:
            return self._backups.by_id(options.backup)
        if options.at is not None:
            return self._backups.at(options.at, options.selection_hash)
        return self._backups.latest(options.selection_hash)

    def _known(self, manifest: Manifest, judged: verdict.Verdict) -> Verified | None:
        """The verification that makes another one needless."""
        options = self.options
        if options.verify_id is not None:
            named = self._verifications.named(manifest, options.level, options.verify_id)
            return named if named is not None and judged.suspect_cause != "damaged" else None
        found = self._verifications.of_backup(manifest, options.level)
        others = self._verifications.of_database(options.level) if options.of_database else []
        found += [each for each in others if options.level == LEVELS[0] or each.shows(manifest)]
        return settled(found, judged, options.max_age, self.context.clock.now())

    def _tool(self, manifest: Manifest) -> tools.Tool:
        """pg_restore of the major version that the backup asks for, or of a later one where that is not installed."""
        wanted, missing = manifest.restore_by_hand.needs_major, None
        for major in range(wanted, wanted + _NEWER + 1):
            try:
                return tools.find("pg_restore", major, bindir=self.options.bindir, environment={}, context=self.context)
            except RunbookError as error:
                if error.code != "tool_missing":
                    raise
                missing = missing or error
        raise missing or ValueError("no major version was looked for")

    def _drill_on(self, manifest: Manifest) -> str:
        """The server that a drill goes to, with everything looked at that can be looked at before."""
        if self.options.drill_server_url is None:
            _initdb, postgres = programs(self.options, manifest, self.context)
            return f"{PRIVATE} of PostgreSQL {postgres.version}"
        return require_another_server(self.options, manifest, self.context)

    @cached_property
    def _opened(self) -> Opened:
        return Opened(self.store, self.params, self.context)

    @cached_property
    def _backups(self) -> Backups:
        return Backups(self.store, self.options.environment, self.options.name, self.context)

    @cached_property
    def _verifications(self) -> Verifications:
        return Verifications(self._backups, self.context)


def _why(error: RunbookError) -> str:
    return f"{error.object}: {error.reason}"


def _explained(error: RunbookError, outcome: str) -> RunbookError:
    """The damage, with what it means."""
    return replace(
        error,
        attempted=verify_read.ATTEMPTED,
        remedy=f"{outcome} Restore from another backup (postgres_backup_info lists them), take a new one, and find out "
        "what happened to this object.",
        details={**(error.details or {}), "called_suspect": outcome},
    )
