# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module postgres_restore (private to ops.runbooks), with a word on the releases that the database serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import taken_away
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.foreign.plan import ForeignPlan, ForeignState
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import FINISHED
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.plan import RestorePlan, RestoreState
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.restore import Restore
from ansible_collections.ops.runbooks.plugins.module_utils._release.releases import Releases
from ansible_collections.ops.runbooks.plugins.module_utils._release.restored import Fit, fit_of
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.moves import Moves

#: Releases of each app that are looked through.
_RECORDS = 50
#: Strategies after which what is restored serves at once.
_SERVES = ("swap", "in_place")


class RestoreBelowReleases(Restore):
    """A restore, which says whether the releases that serve fit what is restored."""

    _fits: tuple[Fit, ...] = ()

    def observe(self) -> RestoreState | ForeignState:
        """See :class:`Restore`; and what is on record of apps, where there is something to restore."""
        state = super().observe()
        self._fits = ()
        serves = self.options.strategy != "tables" and not self.options.reverts
        if serves and isinstance(state, RestoreState) and _is_due(state):
            try:
                self._fits = self._read(state)
            except RunbookError as error:
                # No restore waits for that: it is a word of advice.
                self.context.warn(f"Nobody can tell whether the releases that serve fit the backup: {error.reason}.")
        return state

    def plan(self, state: RestoreState | ForeignState) -> RestorePlan | ForeignPlan:
        """See :class:`Restore`. That a release does not fit is a warning: a person may know what comes next."""
        plan = super().plan(state)
        if isinstance(plan, ForeignPlan) or not plan.changed or not self._fits:
            return plan
        told = {**plan.result, "releases": [each.describe() for each in self._fits]}
        if self.options.strategy not in _SERVES:
            return replace(plan, result=told)
        warnings = [each.warning(self.options.name) for each in self._fits]
        return replace(
            plan,
            result=told,
            steps=(*plan.steps, *(each.step() for each in self._fits)),
            warnings=(*plan.warnings, *filter(None, warnings)),
        )

    def act(self, state: RestoreState | ForeignState, plan: RestorePlan | ForeignPlan) -> Mapping[str, Any]:
        """See :class:`Restore`."""
        done = super().act(state, plan)
        return {**done, "releases": plan.result["releases"]} if "releases" in plan.result else done

    def _read(self, state: RestoreState) -> tuple[Fit, ...]:
        environment, name = self.options.environment, self.options.name
        apps = self._apps(environment)
        if not apps:
            return ()
        backups = Backups(self.store, state.backup.environment, name, self.context)
        manifest = backups.manifest(state.backup.id)
        head = manifest.migration_head if manifest is not None else None
        listed = taken_away.read(self.state_store, state.backup.environment, name)
        taken = [each for each in listed if _before(each.applied_at, state.backup.snapshot_at)]
        found = []
        for app in apps:
            releases = Releases(self.state_store, environment, app, self.context).newest(_RECORDS)
            moves = Moves(self.state_store, environment, app, self.context).newest_first()
            found.append(fit_of(app, name, releases, moves, head, taken))
        return tuple(each for each in found if each is not None)

    def _apps(self, environment: str) -> list[str]:
        """Those that have a release on record."""
        prefix = f"{environment}/apps/"
        parts = (each.key.removeprefix(prefix).split("/") for each in self.state_store.list(prefix))
        return sorted({part[0] for part in parts if part[1:2] == ["releases"]})


def _is_due(state: RestoreState) -> bool:
    """Whether there is something to restore."""
    return state.mark is None or state.mark.phase != FINISHED or state.work is not None


def _before(applied_at: str, snapshot_at: datetime) -> bool:
    """Whether a migration was applied before a backup was taken; one that was not ended was not."""
    return bool(applied_at) and parse_iso(applied_at) <= snapshot_at
