# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restore that is swapped in for the live database, and the way back (private to ops.runbooks).

The new database is built beside, as any restore is, and stays beside where the swap itself fails: the next run goes on
from there. What is intended is recorded before each exchange of names, so that a run after a kill finds by oid what has
become of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import catalog
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.act import Restoring
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.facts import read_databases
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import (
    FINISHED,
    LOADED,
    REVERTED,
    REVERTING,
    STARTED,
    SWAPPING,
    Attempt,
    Exchange,
    Mark,
    Marks,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.observe import Observer, known_as
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.options import Options
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.plan import RestorePlan
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.swap.act import Swapper, carry_over
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.swap.facts import (
    Live,
    check_live,
    read_live,
    read_role_settings,
    refused,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.swap.plan import SwapState, exchange_of

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Objects


class SwapObserver(Observer):
    """Looks at store and server for one swap or its undoing."""

    def observe(self, attempt: Attempt, *, rebinds: bool) -> SwapState:
        """What is there, and which of the two databases has the live name."""
        options, server = self._options, self._connector.server(self._session)
        mark, manifest, backup, restore_id = self.resolve()
        databases = read_databases(self._session)
        found_as = known_as(mark, server, databases)
        live = None
        if options.target_database in databases:
            live = read_live(self._session, options.target_database)
        work = None
        begun = mark is not None and (mark.phase not in (STARTED, LOADED, SWAPPING) or found_as is not None)
        if live is not None and not begun and not options.reverts:
            # Before the backup is looked at: whoever cannot swap need not read of roles and space.
            check_live(live, self._session.endpoint.label)
            chosen = manifest or self._source.by_id(backup.id)
            self._check_backup(chosen)
            work = self._work(as_live(chosen, live), server)
        return SwapState(
            restore_id=restore_id,
            endpoint=self._session.endpoint.label,
            server=server,
            backup=backup,
            target_database=options.target_database,
            attempt=attempt,
            rebinds=rebinds,
            mark=mark,
            found_as=found_as,
            work=work,
            now=self._context.clock.now(),
            databases=databases,
            live=live,
            keep=options.keep_previous,
            reverts=options.reverts,
        )

    def _check_backup(self, chosen: Manifest) -> None:
        """Only a whole and good one takes the place of a live database; any other can be restored beside."""
        where = (self._options.target_database, self._session.endpoint.label)
        if not chosen.selection.whole:
            reason = f"backup {chosen.backup_id} holds a part of a database only"
            raise refused("partial", *where, reason, "Restore it beside, and copy what is missing.")
        found = self._source.verdict_on(chosen)
        if not found.good:
            reason = f"backup {chosen.backup_id} is suspect: {found.suspect_reason}"
            raise refused("suspect", *where, reason, "Use another backup, or restore this one beside and look.")


def as_live(manifest: Manifest, live: Live) -> Manifest:
    """The backup, with the database's own properties as the live one has them now."""
    ours = live.database
    like = replace(
        manifest.database,
        owner=ours.owner,
        settings=ours.settings,
        privileges=ours.privileges,
        comment=ours.comment,
        connection_limit=ours.connection_limit,
        tablespace=ours.tablespace,
    )
    return replace(manifest, database=like)


class Swapping:
    """One swap, or its undoing, while it is carried out."""

    def __init__(
        self,
        options: Options,
        state: SwapState,
        *,
        source: Objects,
        marks: Marks,
        connector: Connector,
        session: Session,
        context: Context,
        foresee: Callable[[str], None],
    ) -> None:
        self._foresee = foresee
        self._state = state
        self._context = context
        self._marks = marks
        self._session = session
        self._restoring = Restoring(
            options,
            state,
            source=source,
            marks=marks,
            connector=connector,
            session=session,
            context=context,
        )
        self._connector = connector
        self._swapper = Swapper(connector, options.maintenance_database, context)
        self._maintenance_database = options.maintenance_database

    @property
    def stage(self) -> str:
        """How far the exchange of names came; see :class:`Swapper`."""
        return self._swapper.stage

    def act(self, plan: RestorePlan) -> dict[str, Any]:
        """What was planned."""
        state, mark = self._state, self._state.mark
        if plan.action == "restore" and state.work is not None:
            mark, name = self._restoring.build(plan, state.work, strategy="swap")
            return self._swap(plan, mark, name)
        if plan.action == "swap" and mark is not None and state.found_as is not None:
            return self._swap(plan, mark, state.found_as)
        if plan.action == "revert" and mark is not None and mark.exchange is not None:
            return self._revert(plan, mark, mark.exchange)
        if plan.action == "record" and mark is not None and mark.exchange is not None:
            phase = REVERTED if state.reverts else FINISHED
            return self._record(mark, phase, mark.exchange, plan.result)
        raise ValueError("a swap was planned for which nothing was observed")

    def _swap(self, plan: RestorePlan, mark: Mark, name: str) -> dict[str, Any]:
        """The restored database under ``name`` becomes the live one."""
        target = mark.target_database
        # A new session and a new look: building it may have taken hours.
        with self._connector.open(self._maintenance_database) as session:
            live = read_live(session, target)
            check_live(live, session.endpoint.label)
            if self._state.live is None or live.database.oid != self._state.live.database.oid:
                reason = "another database has got the name since this was planned"
                raise refused("other_live", target, session.endpoint.label, reason, "Run the same command again.")
            new = catalog.database(session, name)
            statements = carry_over(live, new, read_role_settings(session, name))
        self._foresee(name)
        exchange = self._exchange(live.database.oid)
        self._marks.write(replace(mark, phase=SWAPPING, exchange=exchange))
        oids = (live.database.oid, new.oid)
        ended = self._swapper.rename([(target, exchange.aside), (name, target)], oids, statements)
        done = {**plan.result, **mark.result, "sessions_ended": ended}
        return self._record(mark, FINISHED, exchange, done)

    def _revert(self, plan: RestorePlan, mark: Mark, known: Exchange) -> dict[str, Any]:
        """The database that was live before becomes live again."""
        target, previous = mark.target_database, self._state.name_of(known.replaced_oid)
        exchange = self._exchange(known.replaced_oid)
        if previous is None or mark.oid is None:
            raise ValueError("an undoing was planned of which the databases are not known")
        self._foresee(previous)
        self._marks.write(replace(mark, phase=REVERTING, exchange=exchange))
        renames = [(target, exchange.aside), (previous, target)]
        ended = self._swapper.rename(renames, (mark.oid, known.replaced_oid))
        return self._record(mark, REVERTED, exchange, {**plan.result, "sessions_ended": ended})

    def _exchange(self, replaced_oid: int) -> Exchange:
        """What is kept is kept from now on, and not from when this was planned."""
        return exchange_of(replace(self._state, now=self._context.clock.now()), replaced_oid)

    def _record(self, mark: Mark, phase: str, exchange: Exchange, result: Mapping[str, Any]) -> dict[str, Any]:
        done = {
            **result,
            "strategy": "swap",
            "database": mark.target_database,
            "previous_database": exchange.aside,
            "previous_until": iso(exchange.until),
        }
        self._marks.write(replace(mark, phase=phase, exchange=exchange, attempts=(), result=done))
        return done
