# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pair of login roles that rotation takes turns with (private to ops.runbooks).

:class:`RolePair` is one pair on one server. It lists its logins, gives one of them a password, tests that, looks
whether anybody still uses the other one, and takes its login away, gives it back, or takes its password away. Each
method may be called again after it died anywhere: it looks first, and one transaction is one effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.words import counted
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import quote_identifier
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair import facts as catalog
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair import guards
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair import password as passwords
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.login import Logins
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.model import (
    Credential,
    Names,
    PairFact,
    Pooler,
    Privilege,
    Proof,
    SessionFact,
    Step,
    Verdict,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.plan import (
    RolePairPlan,
    Wanted,
    lending,
    plan_pair,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Seconds between two looks at the sessions of a role, and for how long one that was told to end may take.
_PAUSE, _ENDING = 0.5, 10.0
#: So that two runs do not alter the same roles at once, where they have no store to keep them apart.
_ALONE = "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('ops.runbooks roles of ' || %s, 0))"
_END = "SELECT pg_catalog.pg_terminate_backend(p) FROM pg_catalog.unnest(%s::int[]) p"
_MAY_END = """
SELECT pg_catalog.pg_has_role(r.oid, 'USAGE') OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE'),
       EXISTS (SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles me ON me.oid = m.member
               WHERE me.rolname = current_user AND m.grantor = m.member AND m.roleid = r.oid)
FROM pg_catalog.pg_roles r WHERE r.rolname = %(role)s"""


class RolePair:
    """A pair on the server that ``session`` leads to; ``session`` is prepared for work and its user's alone."""

    def __init__(
        self,
        connector: Connector,
        session: Session,
        context: Context,
        names: Names,
        *,
        pooler: Pooler | None = None,
        privileges: Sequence[Privilege] = (),
        watch: float = 3.0,
    ) -> None:
        self._connector = connector
        self._session = session
        self._context = context
        self._watch = watch
        self._own = f"ops.runbooks {context.module.rsplit('.', 1)[-1]}"
        self.names = names
        works_as = self.look().manager.session_user
        self.logins = Logins(connector, context, names, works_as=works_as, pooler=pooler, privileges=tuple(privileges))

    # What is there

    def look(self) -> PairFact:
        """The roles and their sessions."""
        return catalog.look(self._session, self.names, own=self._own)

    def list(self) -> tuple[Credential, ...]:
        """The logins of the pair that exist. PostgreSQL knows neither when they were made nor when last used."""
        facts = self.look()
        return tuple(
            Credential(id=name, enabled=role.login and not role.expired, sessions=len(facts.sessions_of(name)))
            for name in self.names.logins
            if (role := facts.roles.get(name)) is not None and (name != self.names.group or role.login)
        )

    def fits(self, role: str, password: str, facts: PairFact) -> bool:
        """Whether the role has exactly this password: by the verifier where it may be read, else by a login."""
        self._context.redactor.protect(password)
        passwords.check(password, role)
        if role not in facts.roles or facts.roles[role].scrambled:
            return False
        if facts.manager.reads_passwords:
            return self._kept(role, password)
        return self.logins.accepts(role, password)

    def _kept(self, role: str, password: str) -> bool:
        """Whether the verifier that the server keeps is this password's."""
        kept = catalog.kept_verifier(self._session, role)
        self._context.redactor.protect(kept)
        return bool(passwords.matches(kept, password))

    def unused(self, role: str, *, watch: float | None = None) -> Proof:
        """Whether anybody is logged in as the role, by several looks."""
        clock, span = self._context.clock, self._watch if watch is None else watch
        start, looks = clock.monotonic(), 0
        while True:
            looks += 1
            found = catalog.sessions(self._session, (role,), own=self._own)
            passed = clock.monotonic() - start
            if found or passed >= span:
                return Proof(state="in_use" if found else "unused", by=found, looks=looks, seconds=round(passed, 1))
            clock.sleep(min(_PAUSE, span - passed))

    def test(self, role: str, password: str) -> Verdict:
        """Log in with the password, directly and through the pooler; raises where that is not as it should be."""
        self._context.redactor.protect(password)
        known = self.look().manager.reads_passwords and self._kept(role, password)
        return self.logins.test(role, password, known=known)

    # What changes something

    def apply(self, role: str, password: str, *, forced: bool = False) -> bool:
        """Make the pair what it must be, and ``password`` the role's; whether anything had to be done.

        Refuses to set another password on a role with sessions, unless it is ``forced``.
        """
        facts = self.look()
        facts = replace(facts, password_fits=self.fits(role, password, facts))
        wanted = Wanted(names=self.names, state="active", role=role, has_password=True, forced=forced)
        plan = plan_pair(wanted, facts, where=self.where)
        self.carry_out(plan, password)
        return plan.changed

    def enable(self, role: str) -> bool:
        """Let the role log in again, with the password from before; whether anything had to be done."""
        plan = plan_pair(Wanted(names=self.names, state="active", role=role), self.look(), where=self.where)
        self.carry_out(plan)
        return plan.changed

    def disable(self, role: str, *, force_after: float | None = None) -> bool:
        """No longer let the role log in, once nobody is; whether anything had to be done. :meth:`enable` undoes it.

        With ``force_after`` seconds, sessions that are still there after them are ended.
        """
        facts = self.look()
        if role not in facts.roles or (not facts.roles[role].login and not facts.sessions_of(role)):
            return False
        guards.refuse(self.names, facts, where=self.where, works=True)
        wanted = Wanted(names=self.names, state="retired", role=role, forced=True)
        plan = plan_pair(wanted, facts, where=self.where)
        for name in plan.retire:
            self.retire(name, force_after=force_after)
        return plan.changed

    def delete(self, role: str) -> bool:
        """Take the password of a disabled role away, for good; the role stays for the next turn."""
        wanted = Wanted(names=self.names, state="scrambled", role=role)
        plan = plan_pair(wanted, self.look(), where=self.where)
        self.carry_out(plan)
        return plan.changed

    @property
    def where(self) -> str:
        """The server and database that were reached."""
        return self._session.endpoint.label

    def carry_out(self, plan: RolePairPlan, password: str | None = None) -> None:
        """The statements of a plan, all of them or none."""
        if not plan.statements:
            return
        self._context.effect(f"alter the roles of {self.names.group}")
        with self.alone():
            self.run(plan.statements, password)

    def run(self, statements: Sequence[Step], password: str | None = None) -> None:
        """Statements in the transaction that is open."""
        for step in statements:
            sql = step.sql
            if step.password_of is not None:
                made = passwords.verifier(self._session, step.password_of, password or "")
                self._context.redactor.protect(made)
                sql += f"'{made}'"
            self._session.execute(sql, attempted=step.what)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """A transaction in which nobody else who does this alters the roles of this group."""
        self._session.execute("BEGIN", attempted="begin a transaction")
        try:
            self._session.rows(_ALONE, (self.names.group,), attempted="keep others from altering the roles")
            yield
            self._session.execute("COMMIT", attempted="make changes of roles final")
        except BaseException:
            with suppress(RunbookError):
                self._session.execute("ROLLBACK", attempted="undo changes of roles")
            raise

    def retire(self, role: str, *, force_after: float | None) -> None:
        """Take the login away, and with it what sessions are left where that was asked for."""
        proof = self.unused(role)
        if force_after is None:
            guards.unused(proof.by, attempted="take away the login of a role", where=self.where)
        elif proof.by:
            self._await_end(role, force_after)
        self._context.effect(f"take away the login of role {role}")
        with self.alone():
            self._session.execute(
                f"ALTER ROLE {quote_identifier(role)} NOLOGIN", attempted=f"take the login of {role} away"
            )
            if force_after is None:
                # Whoever came in meanwhile keeps the role as it was: leaving with an error undoes the statement.
                self._refuse_used(role)
        if force_after is None:
            self._or_give_back(role)
        elif left := self._sessions(role):
            self._end(role, left)

    def _sessions(self, role: str) -> tuple[SessionFact, ...]:
        return catalog.sessions(self._session, (role,), own=self._own)

    def _refuse_used(self, role: str) -> None:
        guards.unused(self._sessions(role), attempted="take away the login of a role", where=self.where)

    def _or_give_back(self, role: str) -> None:
        """Whoever logged in between the look and the end of the transaction needs the login still."""
        try:
            self._refuse_used(role)
        except RunbookError:
            self._context.effect(f"give role {role} its login back")
            self._session.execute(f"ALTER ROLE {quote_identifier(role)} LOGIN", attempted=f"give {role} its login back")
            raise

    def _await_end(self, role: str, seconds: float) -> None:
        end = self._context.clock.monotonic() + seconds
        while self._sessions(role) and self._context.clock.monotonic() < end:
            self._context.clock.sleep(_PAUSE)

    def _end(self, role: str, sessions: Sequence[SessionFact]) -> None:
        """End sessions; new ones cannot come, since the role may not log in any more."""
        self._context.effect(f"end {counted(len(sessions), 'session')} of role {role}")
        pids, told = [each.pid for each in sessions], f"end the sessions of {role}"
        may, mine = self._session.row(_MAY_END, {"role": role}, attempted="ask whether sessions may be ended")
        # Who may hand a role on may take it for a moment, and with it the right to end its sessions.
        lent, returned = lending(role, self._session.major, mine=mine)
        with self.alone():
            self.run([] if may else [lent])
            self._session.rows(_END, (pids,), attempted=told)
            self.run([] if may else [returned])
        self._await_end(role, _ENDING)
        self._refuse_used(role)
