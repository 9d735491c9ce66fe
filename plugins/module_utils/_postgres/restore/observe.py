# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The look before a restore (private to ops.runbooks): which backup, how far it came already, what it needs.

A restore that is done costs a few reads: neither its archives nor the server's catalogs are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest, ServerFact
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore import checks
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.database import is_temporary
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.facts import (
    TargetFacts,
    read_databases,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import (
    LOADED,
    STARTED,
    Attempt,
    Mark,
    Marks,
    SourceBackup,
    default_restore_id,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.options import Options
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.plan import RestoreState, Work
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.prepare import Demands, Share, prepare
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.sealed import Opened


class Observer:
    """Looks at store and server for one restore. ``session`` is in the maintenance database."""

    def __init__(
        self,
        options: Options,
        *,
        source: Backups,
        opened: Opened,
        marks: Marks,
        connector: Connector,
        session: Session,
        context: Context,
    ) -> None:
        self._options = options
        self._source = source
        self._opened = opened
        self._marks = marks
        self._connector = connector
        self._session = session
        self._context = context

    def observe(self, attempt: Attempt, *, rebinds: bool) -> RestoreState:
        """What is there; ``attempt`` is the temporary database that this run would create.

        ``rebinds`` says that the name stands for another server until now.
        """
        server = self._connector.server(self._session)
        mark, manifest, backup, restore_id = self.resolve()
        databases = read_databases(self._session)
        found_as = known_as(mark, server, databases)
        if found_as is None or (mark is not None and mark.phase == LOADED and found_as != mark.target_database):
            self._check_target_free(databases, server)
        work = None
        if found_as is None:
            work = self._work(manifest or self._source.by_id(backup.id), server)
        return RestoreState(
            restore_id=restore_id,
            endpoint=self._session.endpoint.label,
            server=server,
            backup=backup,
            target_database=self._options.target_database,
            attempt=attempt,
            rebinds=rebinds,
            mark=mark,
            found_as=found_as,
            work=work,
            now=self._context.clock.now(),
        )

    def _check_target_free(self, databases: Mapping[str, int], server: ServerFact) -> None:
        """The target must not exist. Where it does, what it is decides what there is to do about it."""
        name = self._options.target_database
        if name not in databases:
            return
        made = self._marks.made(name, databases[name], server.system_identifier)
        raise checks.target_occupied(
            name,
            self._session.endpoint.label,
            live=name == self._connector.address.keywords.get("dbname"),
            holds=made.backup.id if made is not None else None,
        )

    def resolve(self) -> tuple[Mark | None, Manifest | None, SourceBackup, str]:
        """The restore that is meant and its backup; the manifest where it was read for that."""
        options = self._options
        if options.restore_id is not None and (mark := self._marks.read(options.restore_id)) is not None:
            _check_same(options, mark)
            return mark, None, mark.backup, options.restore_id
        if options.reverts:
            raise _unknown(options)
        manifest = self._choose()
        backup = SourceBackup(environment=manifest.environment, id=manifest.backup_id, snapshot_at=manifest.snapshot_at)
        if options.restore_id is not None:
            return None, manifest, backup, options.restore_id
        restore_id = default_restore_id(
            environment=options.environment,
            source_environment=options.source_environment,
            backup_id=manifest.backup_id,
            target=options.target_database,
        )
        return self._marks.read(restore_id), manifest, backup, restore_id

    def _choose(self) -> Manifest:
        options = self._options
        if options.backup is not None:
            manifest = self._source.by_id(options.backup)
            # A backup that is named may be suspect; one that has to be proven may not.
            if options.min_state == "proven" and not self._source.verdict_on(manifest).reaches("proven"):
                raise _not_proven(manifest)
            return manifest
        if options.at is not None:
            return self._source.at(options.at, options.selection_hash, options.min_state)
        return self._source.latest(options.selection_hash, options.min_state)

    def _work(self, manifest: Manifest, server: ServerFact) -> Work:
        """What building the database takes, and what killed runs have left."""
        options = self._options
        manifest = self._opened.manifest(manifest)
        work = prepare(
            manifest,
            Demands(
                ownership=options.ownership,
                bindir=options.bindir,
                disk_free=options.disk_free,
                protected=options.protected,
            ),
            source=self._opened,
            connector=self._connector,
            session=self._session,
            server=server,
            context=self._context,
            share=self.share(manifest),
        )
        return replace(work, leftovers=self._leftovers(work.target))

    def share(self, _manifest: Manifest) -> Callable[[tuple[Head, ...]], Share] | None:
        """How the part of a backup is chosen that is restored; None where it is all of it."""
        return None

    def _leftovers(self, target: TargetFacts) -> tuple[Attempt, ...]:
        """Temporary databases that killed runs have left on this server; none is looked for where none can be."""
        if not any(is_temporary(name) for name in target.databases):
            return ()
        return tuple(
            attempt
            for attempt in self._marks.attempts()
            if attempt.system_identifier == target.server.system_identifier
            and attempt.database in target.databases
            # The store's word alone is not enough to drop a database.
            and is_temporary(attempt.database)
        )


def known_as(mark: Mark | None, server: ServerFact, databases: Mapping[str, int]) -> str | None:
    """The name of the database that an earlier run has made and compared, where it is on this server."""
    if mark is None or mark.phase == STARTED or mark.system_identifier != server.system_identifier:
        return None
    return next((name for name, oid in databases.items() if oid == mark.oid), None)


def _check_same(options: Options, mark: Mark) -> None:
    """An explicit ``restore_id`` that is known already must mean the same restore as before."""
    source = mark.backup.environment if options.reverts else options.source_environment
    tables = tuple(name.text for name in options.tables)
    asked = (source, options.backup or mark.backup.id, options.target_database, options.strategy, tables)
    known = (mark.backup.environment, mark.backup.id, mark.target_database, mark.strategy, mark.tables)
    if asked == known:
        return
    raise RunbookError(
        code="invalid_parameter",
        attempted="use restore_id",
        object=mark.restore_id,
        reason=f"it is the restore of backup {known[1]} of {known[0]} into database {known[2]}, strategy {known[3]}"
        + (f", tables {', '.join(mark.tables)}" if mark.tables else ""),
        remedy="Give another restore_id, or the parameters that it was first used with.",
    )


def _not_proven(manifest: Manifest) -> RunbookError:
    return RunbookError(
        code="backup_not_found",
        attempted=f"use backup {manifest.backup_id}",
        object=f"{manifest.environment}/{manifest.name}",
        reason="no drill has proven it, and min_state wants a backup that is proven",
        remedy="Prove it with the runbook drill, name another one, or set min_state to complete.",
    )


def _unknown(options: Options) -> RunbookError:
    return RunbookError(
        code="invalid_parameter",
        attempted="undo a swap",
        object=f"restore {options.restore_id} of {options.environment}/{options.name}",
        reason="there is no restore of that identity",
        remedy="Give the restore_id that the swap was given; status names the last restore.",
    )
