# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module postgres_restore (private to ops.runbooks): a backup becomes a new database, or nothing changes.

The database is created under a temporary name, loaded, compared with the manifest, and only then renamed. The store
remembers how far that came, so what a killed run has left is dropped, or finished, by the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core import binding
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import new_token
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, Session, connector
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.foreign import plan as foreign_plan
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.foreign.foreign import Foreign
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.foreign.plan import ForeignPlan, ForeignState
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place.in_place import InPlace, InPlaceObserver
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place.plan import InPlaceState, decide_in_place
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import ServerFact
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.act import Restoring
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.confirm import confirmed
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.database import temporary_name
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import Attempt, Marks
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.observe import Observer
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.options import RESTORE_SPEC, Options
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.plan import (
    RestorePlan,
    RestoreState,
    decide,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.sealed import Opened
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.swap.plan import SwapState, decide_swap
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.swap.swap import SwapObserver, Swapping
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.tables.tables import (
    TablesObserver,
    TablesState,
    decide_tables,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.taken_anew import TakenAnew

_OBSERVERS = {"new_database": Observer, "swap": SwapObserver, "in_place": InPlaceObserver, "tables": TablesObserver}


class Restore(Operation["RestoreState | ForeignState", "RestorePlan | ForeignPlan"]):
    """Restore a backup into a new database."""

    noun: ClassVar[str] = "restore"
    spec: ClassVar[ArgumentSpec] = RESTORE_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self.options = Options.of(params, self._connector.address.keywords.get("dbname"))
        self._token = new_token()
        self._identity: dict[str, Any] | None = None
        self._swapping: Swapping | None = None
        self._in_place: InPlace | None = None

    def observe(self) -> RestoreState | ForeignState:
        """Which backup, how far its restore came already, and whether everything that it needs is there."""
        server = self._connector.server(self._session)
        rebinds = self._check_binding(server)
        if self.options.path is not None:
            return self._foreign.observe(self._token)
        observer = _OBSERVERS[self.options.strategy](
            self.options,
            source=Backups(self.store, self.options.source_environment, self.options.name, self.context),
            opened=self._opened,
            marks=self._marks,
            connector=self._connector,
            session=self._session,
            context=self.context,
        )
        return observer.observe(
            Attempt(
                database=temporary_name(self.options.target_database, self._token),
                token=self._token,
                system_identifier=server.system_identifier,
                run_id=self.context.run_id,
            ),
            rebinds=rebinds,
        )

    def _check_binding(self, server: ServerFact) -> bool:
        """Whether the name stood for another server until now, which is refused unless it is to be adopted.

        A restore goes beside the database that is bound, so only the servers are compared; a swap goes in its place,
        and must mean that very database. A name that is not bound, on a connection that names no database, stays so.
        """
        bound = binding.read(self.state_store, self.options.environment, self.options.name)
        known = bound.identity.get("database") if bound is not None else None
        database = known or self._connector.address.keywords.get("dbname")
        if self.options.strategy in ("swap", "in_place"):
            database = self.options.target_database
        if not database:
            return False
        self._identity = self._connector.identity(server, str(database))
        if bound is None or bound.is_to(self._identity):
            return False
        if not self.options.adopt:
            binding.check(self.state_store, self.options.environment, self.options.name, self._identity)
        return True

    def plan(self, state: RestoreState | ForeignState) -> RestorePlan | ForeignPlan:
        """See the functions that begin with decide; what is dangerous on a protected environment wants its name."""
        if isinstance(state, ForeignState):
            return foreign_plan.decide(state)
        if isinstance(state, InPlaceState):
            plan = decide_in_place(state)
        elif isinstance(state, TablesState):
            plan = decide_tables(state)
        else:
            plan = decide_swap(state) if isinstance(state, SwapState) else decide(state)
        if plan.changed and isinstance(state, (SwapState, InPlaceState)):
            plan = confirmed(plan, self.options, check_mode=self.context.check_mode)
        return plan

    def act(self, state: RestoreState | ForeignState, plan: RestorePlan | ForeignPlan) -> Mapping[str, Any]:
        """Restore, or finish what a killed run had almost done."""
        if self._identity is not None:
            names = (self.state_store, self.options.environment, self.options.name)
            binding.bind(*names, self._identity, self.context, adopt=self.options.adopt)
        if isinstance(state, ForeignState):
            return self._foreign.act(state, plan.result)
        if isinstance(plan, ForeignPlan):
            raise ValueError("the plan of a foreign dump came with the state of a backup")
        tools: dict[str, Any] = {
            "source": self._opened,
            "marks": self._marks,
            "connector": self._connector,
            "context": self.context,
        }
        if isinstance(state, SwapState):
            self._swapping = Swapping(self.options, state, session=self._session, foresee=self._taken.foresee, **tools)
            done = self._swapping.act(plan)
            self._taken.settle(state.target_database)
            return done
        if isinstance(state, InPlaceState):
            self._in_place = InPlace(self.options, state, params=self.params, **tools)
            done = self._in_place.act(plan)
            self._taken.settle(state.target_database)
            return done
        restoring = Restoring(self.options, state, session=self._session, **tools)
        if state.work is not None:
            return restoring.restore(plan, state.work)
        if state.mark is not None and state.found_as is not None:
            return restoring.finish(state.mark, state.found_as)
        raise ValueError("a restore was planned for which nothing was observed")

    def resources(self, plan: RestorePlan | ForeignPlan) -> tuple[str, ...]:
        """The database, by the name that runbooks know it by."""
        return (f"database/{self.options.name}",)

    def context_of_failure(self) -> Mapping[str, Any]:
        """Where the work went."""
        reached = self.__dict__.get("_session")
        known: dict[str, Any] = {"target_database": self.options.target_database}
        if self._swapping is not None:
            known["swap"] = self._swapping.stage
        if self._in_place is not None:
            known |= self._in_place.known
        return {**known, "endpoint": reached.endpoint.label} if reached is not None else known

    def close(self) -> None:
        """End all sessions."""
        if "_connector" in self.__dict__:
            self._connector.close()

    @cached_property
    def _foreign(self) -> Foreign:
        return Foreign(
            self.options,
            self.params,
            marks=self._marks,
            connector=self._connector,
            session=self._session,
            context=self.context,
        )

    @cached_property
    def _opened(self) -> Opened:
        return Opened(self.store, self.params, self.context)

    @cached_property
    def _connector(self) -> Connector:
        return connector(self.params, self.context, need_database=False)

    @cached_property
    def _session(self) -> Session:
        return self._connector.open(self.options.maintenance_database)

    @cached_property
    def _taken(self) -> TakenAnew:
        return TakenAnew(
            store=self.state_store,
            environment=self.options.environment,
            name=self.options.name,
            connector=self._connector,
            context=self.context,
        )

    @cached_property
    def _marks(self) -> Marks:
        return Marks(self.state_store, self.options.environment, self.options.name, self.context)
