# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Letting a group take the place of a login role (private to ops.runbooks): one transaction, or nothing.

Changing the owner of a table locks out everybody else who uses it until the transaction ends, and whoever waits for
such a lock makes all others wait behind it. So locks come last, all of them together may take no longer than
``lock_timeout``, and where that is not enough everything is undone and tried again a little later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.failures import sqlstate
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair import adopt
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair import adopt_facts as names_old
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.model import PairFact, Step
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.plan import (
    RolePairPlan,
    Wanted,
    plan_pair,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.turns import RolePair

#: How often it is tried, and seconds before the next time.
_TRIES, _PAUSE = 5, 1.0
#: Somebody else held a lock for too long, or each held what the other wanted.
_LATER = ("55P03", "57014", "40P01")
_TAKE = """
SELECT count(set_config(%(name)s, substr(s, length(%(name)s) + 2), true))
FROM pg_catalog.pg_db_role_setting x, unnest(x.setconfig) s
WHERE x.setrole = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %(old)s) AND split_part(s, '=', 1) = %(name)s
  AND x.setdatabase = CASE WHEN %(here)s
      THEN (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) ELSE 0 END"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopter:
    """One adoption. ``limit`` is in seconds, for all locks together."""

    pair: RolePair
    session: Session
    context: Context
    wanted: Wanted
    limit: float

    def look(self, facts: PairFact) -> names_old.AdoptionFact:
        """What names the old role."""
        old = self.wanted.names.old or self.wanted.names.group
        if old not in facts.roles:
            reasons = adopt.hindrances(self.wanted.names, facts, names_old.AdoptionFact())
            raise adopt.refused(self.wanted.names, self.pair.where, reasons, known=False)
        return names_old.look(self.session, self.wanted.names, superuser=facts.manager.superuser)

    def plan(self, facts: PairFact, found: names_old.AdoptionFact) -> RolePairPlan:
        """The pair, and everything that goes over. Raises ``adoption_refused``."""
        names = self.wanted.names
        steps = adopt.plan_adoption(names, facts, found)
        made = plan_pair(self.wanted, facts, where=self.pair.where, extra=steps)
        if reasons := adopt.hindrances(names, facts, found):
            raise adopt.refused(names, self.pair.where, reasons)
        return made

    def carry_out(self, plan: RolePairPlan) -> None:
        """All of it, or nothing."""
        for number in range(1, _TRIES + 1):
            self.context.effect(f"let {self.wanted.names.group} take the place of a login role")
            try:
                with self.pair.alone():
                    self._run(plan)
                return
            except RunbookError as error:
                if sqlstate(error) not in _LATER:
                    raise
                if number == _TRIES:
                    raise self._too_busy(error) from None
            self.context.clock.sleep(_PAUSE)

    def _run(self, plan: RolePairPlan) -> None:
        end: float | None = None
        for step in plan.statements:
            if step.setting is not None:
                self._take(step)
            if step.locks:
                now = self.context.clock.monotonic()
                end = end or now + self.limit
                left = max(1, int((end - now) * 1000))
                limits = f"SET LOCAL lock_timeout = {left}; SET LOCAL statement_timeout = {left}"
                self.session.execute(limits, attempted="limit how long others may have to wait")
            self.pair.run([step])
        if end is not None:
            self.session.execute("SET LOCAL statement_timeout = 0", attempted="take a limit away")
        self._check()

    def _take(self, step: Step) -> None:
        name, here = step.setting or ("", False)
        old = self.wanted.names.old or self.wanted.names.group
        asked = {"name": name, "here": here, "old": old}
        self.session.rows(_TAKE, asked, attempted=f"take over the setting {name}")

    def _check(self) -> None:
        """The server lets some grants pass with a warning and does nothing; then everything is undone."""
        facts = self.pair.look()
        left = [each.what for each in self.plan(facts, self.look(facts)).statements if not each.locks]
        if left:
            reasons = [f"The server did not {each}." for each in left]
            raise adopt.refused(self.wanted.names, self.pair.where, reasons)

    def _too_busy(self, error: RunbookError) -> RunbookError:
        return RunbookError(
            code="timed_out",
            attempted=error.attempted,
            object=error.object,
            reason=f"it could not have all locks within {self.limit:g} s, {_TRIES} times: {error.reason}",
            remedy="Nothing was changed. Run this again when less goes on, end what runs for long, or raise "
            "lock_timeout, for which others may have to wait.",
            details=error.details,
        )
