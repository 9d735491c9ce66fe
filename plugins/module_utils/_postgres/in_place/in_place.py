# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restore in place (private to ops.runbooks): for managed databases, whose name cannot be given to another one.

First the way back: a backup of what is there, which is held. Then one transaction that empties the schemas of the
backup, fills them again and compares. The store is told before each of these what comes next, so that whatever dies
where, the next run knows what has become of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core import age
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import catalog, platform
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.backup import PostgresBackup
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import CONNECTION_SPEC, Connector
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place.act import Replaced, Replacing
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place.facts import PATIENCE, Ground, read_ground
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place.plan import (
    InPlaceState,
    check_backup,
    refused,
    way_back,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place.scope import (
    Present,
    head_of,
    names_in,
    part_of,
    schemas_in,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest, PlatformFact, ServerFact
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import (
    FINISHED,
    PREPARED,
    REPLACING,
    STARTED,
    Attempt,
    Mark,
    Marks,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.observe import Observer
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.options import Options
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.plan import RestorePlan, Work
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.prepare import Demands, Share, prepare
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import LEDGER
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verify.read import read_object

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Objects

_OUTCOME = "SELECT pg_catalog.pg_xact_status(%s::pg_catalog.xid8)"
#: What a server says of a transaction that began after the one that it was restored from itself ended.
_FUTURE = "22023"
#: Options that mean the same to the backup that is taken first.
_SHARED = (
    *CONNECTION_SPEC.options,
    *STORE_SPEC.options,
    *RUN_SPEC.options,
    "bindir",
    "jobs",
)


class InPlaceObserver(Observer):
    """Looks at store and database for one restore in place. The session is in the live database."""

    _ground: Ground | None = None
    _schemas: tuple[str, ...] = ()
    _platform = PlatformFact()

    def observe(self, attempt: Attempt, *, rebinds: bool) -> InPlaceState:
        """What is there, and what became of an earlier run."""
        options, session = self._options, self._session
        server = self._connector.server(session)
        mark, manifest, backup, restore_id = self.resolve()
        outcome = self._outcome(mark, server)
        work = None
        done = mark is not None and (mark.phase == FINISHED or (mark.phase == REPLACING and outcome != "aborted"))
        if not done:
            chosen = manifest or self._source.by_id(backup.id)
            verdict = self._source.verdict_on(chosen)
            reason = None if verdict.good else verdict.suspect_reason or "it is called so"
            check_backup(chosen, reason, options.target_database, session.endpoint.label)
            if to := way_back_recipients(options, chosen):
                age.require(to)
            work = self._work_on(chosen, server)
        return InPlaceState(
            restore_id=restore_id,
            endpoint=session.endpoint.label,
            server=server,
            backup=backup,
            target_database=options.target_database,
            attempt=attempt,
            rebinds=rebinds,
            mark=mark,
            found_as=None,
            work=work,
            now=self._context.clock.now(),
            oid=catalog.database(session).oid,
            schemas=self._schemas,
            platform=self._platform,
            ground=self._ground,
            before=f"before-{restore_id[:100]}-{attempt.token}",
            outcome=outcome,
        )

    def _outcome(self, mark: Mark | None, server: ServerFact) -> str | None:
        """What the server knows of the transaction that an earlier run was about to make final."""
        if mark is None or mark.phase != REPLACING or mark.transaction is None:
            return None
        if mark.system_identifier != server.system_identifier:
            return "unknown"
        try:
            return self._session.value(_OUTCOME, (mark.transaction,), attempted="look for a transaction") or "unknown"
        except RunbookError as error:
            if (error.details or {}).get("sqlstate") != _FUTURE:
                raise
            return "unknown"

    def _work_on(self, manifest: Manifest, server: ServerFact) -> Work:
        options, session = self._options, self._session
        manifest = self._opened.manifest(manifest)
        return prepare(
            manifest,
            Demands(
                ownership=options.ownership,
                bindir=options.bindir,
                disk_free=options.disk_free,
                protected=options.protected,
                creates_database=False,
            ),
            source=self._opened,
            connector=self._connector,
            session=session,
            server=server,
            context=self._context,
            share=lambda heads: self._share(manifest, heads),
        )

    def _share(self, manifest: Manifest, heads: tuple[Head, ...]) -> Share:
        """The schemas that are the user's, of the backup and here; what is in them now, and beyond."""
        with self._connector.open(self._options.target_database) as session:
            session.prepare_for_work(PATIENCE)
            here = platform.look(session, "auto")
            if here.name == "postgres":
                here = platform.look(session, manifest.platform.name)
            managed = sorted({*here.managed_schemas, *manifest.platform.managed_schemas})
            schemas = schemas_in(heads, managed)
            if not schemas:
                where = (self._options.target_database, session.endpoint.label)
                reason = f"backup {manifest.backup_id} has no schema that is not {here.name}'s own"
                raise refused("empty", *where, reason, "Use another backup.")
            # Migrations that were first run after the backup are undone with it, and so is what is recorded of them.
            if session.value("SELECT to_regnamespace(%s) IS NOT NULL", (LEDGER,), attempted="look for migrations"):
                schemas |= {LEDGER}
            ground = read_ground(session, schemas)
            live = catalog.database(session)
            user = session.value("SELECT current_user::text", attempted="ask for the role")
        self._ground, self._schemas = ground, tuple(sorted(schemas))
        self._platform = replace(here, managed_schemas=tuple(managed))
        present = Present(
            schemas=ground.schemas,
            extensions=ground.extensions,
            publications=ground.publications,
            roles=ground.roles,
            regained=frozenset(each.name for each in ground.beyond if each.name[0]) & names_in(heads),
        )
        own = {(each.schema, each.name) for each in manifest.tables if each.extension is not None}
        own |= {(each.schema, each.name) for each in ground.members}
        chosen = [head_of(head, schemas, present, own) for head in heads]
        # What belongs to the database itself stays as it is: nothing of that is asked for.
        like = replace(live, owner=user, privileges=None, settings=(), collate="C", ctype="C", locale_provider="libc")
        return Share(
            manifest=replace(part_of(manifest, schemas), database=like),
            heads=tuple(head for head, _losses in chosen),
            losses=tuple(dict.fromkeys(loss for _head, losses in chosen for loss in losses)),
        )


def way_back_recipients(options: Options, manifest: Manifest) -> tuple[str, ...]:
    """Who can read the backup that is taken first; nobody is named where it is not encrypted with age.

    Nothing vouches for the recipients in a manifest: whoever may write to the store could have put himself there.
    """
    if options.recipients is None and manifest.age_recipients:
        raise RunbookError(
            code="invalid_parameter",
            attempted="restore the backup in place",
            object="age_recipients",
            reason="the backup is encrypted with age, and nobody said for whom the one that is taken first is to be",
            remedy="Name them (the inventory's runbooks_age_recipients), or give an empty list for one that is not"
            " encrypted (backup_encryption: none).",
        )
    return options.recipients or ()


class InPlace:
    """One restore in place while it is carried out."""

    def __init__(
        self,
        options: Options,
        state: InPlaceState,
        *,
        source: Objects,
        marks: Marks,
        connector: Connector,
        context: Context,
        params: Mapping[str, Any],
    ) -> None:
        self._options = options
        self._state = state
        self._source = source
        self._marks = marks
        self._connector = connector
        self._context = context
        self._params = params
        self._began = context.clock.monotonic()
        self._durations: dict[str, float] = {}
        #: For whoever reports a failure: not begun, reading, backing up, replacing, committing, or done.
        self.stage = "not begun"
        #: The backup that leads back, once it is there.
        self.before: str | None = None

    def act(self, plan: RestorePlan) -> dict[str, Any]:
        """What was planned."""
        state, mark = self._state, self._state.mark
        if plan.action == "record" and mark is not None:
            self._marks.write(replace(mark, phase=FINISHED))
            return dict(mark.result)
        if plan.action != "replace" or state.work is None:
            raise ValueError("a restore in place was planned for which nothing was observed")
        work = state.work
        self._marks.write(self._mark(STARTED))
        self._read(work)
        self._back_up(work)
        mark = self._mark(PREPARED, before=state.before)
        self._marks.write(mark)
        replacing = self._replacing(work)
        try:
            self._enter("replacing")
            replaced = replacing.replace()
            self._timed("replace")
            done = self._result(plan, replaced)
            final = replace(mark, phase=REPLACING, transaction=replaced.transaction, result=done)
            self._marks.write(final)
            self._enter("committing")
            replacing.commit()
            self._enter("done")
            self._marks.write(replace(final, phase=FINISHED))
            self._analyze(replacing)
        finally:
            replacing.close()
        return done

    @property
    def known(self) -> dict[str, Any]:
        """What a failure says beside its reason: how far it came, and the way back where there is one."""
        back = (
            {"pre_restore_backup": self.before, "way_back": way_back(self._state, self.before)} if self.before else {}
        )
        return {"in_place": self.stage, **back}

    def _replacing(self, work: Work) -> Replacing:
        return Replacing(
            self._state,
            work,
            source=self._source,
            connector=self._connector,
            ownership=self._options.ownership,
            time_left=self._time_left,
            context=self._context,
        )

    def _analyze(self, replacing: Replacing) -> None:
        try:
            replacing.analyze()
        except RunbookError as error:
            self._context.warn(f"The restore is final, but statistics were not gathered: {error.reason}. Run ANALYZE.")

    def _mark(self, phase: str, before: str | None = None) -> Mark:
        state = self._state
        return Mark(
            restore_id=state.restore_id,
            phase=phase,
            backup=state.backup,
            target_database=state.target_database,
            system_identifier=state.server.system_identifier,
            oid=state.oid,
            strategy="in_place",
            before=before,
        )

    def _read(self, work: Work) -> None:
        """Every archive to its end: a damaged one is found before anything is locked."""
        self._enter("reading")

        def go_on(read: int) -> None:
            self._context.effect("go on reading the backup")
            self._time_left()
            self._context.progress(bytes_read=read)

        for archive in work.manifest.archives:
            read_object(self._source, archive, go_on)
        self._timed("read")

    def _back_up(self, work: Work) -> None:
        """The way back, by the code of every other backup. What fails there is its own failure: nothing has begun."""
        self._enter("backing up")
        part = (work.whole or work.manifest).selection
        params = {name: option.get("default") for name, option in PostgresBackup.spec.options.items()}
        params |= {name: self._params[name] for name in _SHARED if name in params and name in self._params}
        params |= {"state": "present", "backup_id": self._state.before, "kind": "pre_restore", "hold": True}
        params |= {"hold_reason": f"taken before restore {self._state.restore_id}", "schemas": list(part.schemas)}
        # Whatever has become of the database, this is what leads back to it.
        params |= {"accept_shrink": True, "adopt": False}
        if to := way_back_recipients(self._options, work.whole or work.manifest):
            params |= {"encryption": "age", "age_recipients": list(to)}
        backup = PostgresBackup(params, self._context, self._connector)
        backup.act(seen := backup.observe(), backup.plan(seen))
        self.before = self._state.before
        self._timed("backup")

    def _result(self, plan: RestorePlan, replaced: Replaced) -> dict[str, Any]:
        return {
            **plan.result,
            "bytes": replaced.bytes,
            "tables_compared": replaced.comparison.tables,
            "rows_compared": replaced.comparison.rows,
            "roles_created": list(replaced.roles_created),
            "durations": {**self._durations, "total": self._elapsed()},
        }

    # while it runs

    def _enter(self, stage: str) -> None:
        self.stage = stage
        self._stage_began = self._context.clock.monotonic()
        self._context.progress(stage=stage)

    def _timed(self, what: str) -> None:
        self._durations[what] = round(self._context.clock.monotonic() - self._stage_began, 3)

    def _elapsed(self) -> float:
        return round(self._context.clock.monotonic() - self._began, 3)

    def _time_left(self) -> float | None:
        """Seconds until the time limit; None without one. Raises ``timed_out`` behind it."""
        if (limit := self._options.timeout) is None:
            return None
        left = limit.total_seconds() - self._elapsed()
        if left <= 0:
            raise RunbookError(
                code="timed_out",
                attempted="restore in place",
                object=f"database {self._state.target_database} on {self._state.endpoint}",
                reason=f"the time limit of {limit.total_seconds():.0f} s has passed",
                remedy="The live database is as it was. Raise timeout, then run this again.",
            )
        return left
