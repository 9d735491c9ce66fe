# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is decided about a pair of login roles, without a server."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair import password as passwords
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.adopt import hindrances, plan_adoption
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.adopt_facts import (
    AdoptionFact,
    Defaults,
    Grant,
    Membership,
    Policy,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.model import (
    Manager,
    Names,
    PairFact,
    RoleFact,
    SessionFact,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.plan import (
    RolePairPlan,
    Wanted,
    plan_pair,
)

NAMES = Names.read("app", None, None)
OLD = Names.read("app", None, "legacy")
MANAGER = Manager(
    session_user="ops",
    current_user="ops",
    superuser=False,
    createrole=True,
    bypassrls=False,
    createdb=False,
    in_group=False,
    reads_passwords=False,
)
SESSION = SessionFact(role="app_a", pid=7, database="app", application="web", client="10.0.0.1", since=None)


def member(name: str, **fields: Any) -> RoleFact:
    """A role of the pair, as it must be."""
    asked = {"login": True, "acts_as": "app", "member": True, "inherits": True, "may_set": True, **fields}
    return RoleFact(name=name, oid=1, **asked)


def facts(*roles: RoleFact, major: int = 18, manager: Manager = MANAGER, **fields: Any) -> PairFact:
    return PairFact(major=major, database="main", manager=manager, roles={each.name: each for each in roles}, **fields)


GROUP = RoleFact(name="app", oid=2, login=False)
WHOLE = facts(GROUP, member("app_a"), member("app_b", login=False))


def planned(state: str, found: PairFact, names: Names = NAMES, **fields: Any) -> RolePairPlan:
    return plan_pair(Wanted(names=names, state=state, **fields), found, where="db:5432/main")


def sql(plan: RolePairPlan) -> list[str]:
    return [each.sql for each in plan.statements]


def refusal(state: str, found: PairFact, **fields: Any) -> RunbookError:
    with pytest.raises(RunbookError) as caught:
        planned(state, found, **fields)
    return caught.value


def test_a_pair_from_nothing() -> None:
    assert sql(planned("present", facts())) == [
        'CREATE ROLE "app" NOLOGIN',
        'CREATE ROLE "app_a" NOLOGIN INHERIT',
        'GRANT "app" TO "app_a" WITH INHERIT TRUE, SET TRUE',
        "ALTER ROLE \"app_a\" SET role = 'app'",
        'CREATE ROLE "app_b" NOLOGIN INHERIT',
        'GRANT "app" TO "app_b" WITH INHERIT TRUE, SET TRUE',
        "ALTER ROLE \"app_b\" SET role = 'app'",
    ]


def test_before_16_who_sets_a_role_is_a_member_for_the_time() -> None:
    made = sql(planned("present", facts(major=15)))
    assert made[:2] == ['CREATE ROLE "app" NOLOGIN', 'GRANT "app" TO CURRENT_USER']
    assert made[-1] == 'REVOKE "app" FROM CURRENT_USER'
    assert 'GRANT "app" TO "app_a"' in made
    member_already = replace(MANAGER, in_group=True)
    assert not [each for each in sql(planned("present", facts(major=15, manager=member_already))) if "CURRENT" in each]


def test_a_pair_that_is_whole_is_left_alone() -> None:
    for state, role in (("present", None), ("active", "app_a"), ("retired", "app_b")):
        assert not planned(state, WHOLE, role=role).changed


@pytest.mark.parametrize(
    ("fields", "statement"),
    [
        ({"inherits": False}, 'GRANT "app" TO "app_a" WITH INHERIT TRUE, SET TRUE'),
        ({"acts_as": None}, "ALTER ROLE \"app_a\" SET role = 'app'"),
        ({"acts_here_as": "other"}, 'ALTER ROLE "app_a" IN DATABASE "main" RESET role'),
        ({"admin": True}, 'REVOKE ADMIN OPTION FOR "app" FROM "app_a"'),
        ({"bypassrls": True, "createdb": True}, 'ALTER ROLE "app_a" NOCREATEDB NOBYPASSRLS'),
    ],
)
def test_what_somebody_has_changed_is_put_right(fields: dict[str, Any], statement: str) -> None:
    assert sql(planned("present", facts(GROUP, member("app_a", **fields), member("app_b")))) == [statement]


def test_row_security_is_a_matter_of_the_group() -> None:
    """The attribute is not inherited; members act as the group."""
    assert sql(planned("present", WHOLE, bypassrls=True)) == ['ALTER ROLE "app" BYPASSRLS']
    assert sql(planned("present", facts(), bypassrls=True))[0] == 'CREATE ROLE "app" NOLOGIN BYPASSRLS'


def test_a_password_for_the_idle_role() -> None:
    plan = planned("active", replace(WHOLE, password_fits=False), role="app_b", has_password=True)
    (step,) = plan.statements
    assert step.password_of == "app_b"
    assert step.sql == "ALTER ROLE \"app_b\" LOGIN VALID UNTIL 'infinity' PASSWORD "
    assert plan.after["app_b"] == {**plan.before["app_b"], "login": True, "password": "as given"}
    assert not plan.irreversible


def test_another_password_for_a_role_in_use() -> None:
    """Its sessions would go on, and be refused when they next connect."""
    used = replace(WHOLE, sessions=(SESSION,), password_fits=False)
    assert refusal("active", used, role="app_a", has_password=True).code == "role_in_use"
    assert planned("active", used, role="app_a", has_password=True, forced=True).changed
    assert not planned("active", replace(used, password_fits=True), role="app_a", has_password=True).changed


def test_retiring() -> None:
    used = replace(WHOLE, sessions=(SESSION,))
    error = refusal("retired", used, role="app_a")
    assert error.code == "role_in_use"
    assert "7 web from 10.0.0.1" in error.message
    assert (
        planned("retired", used, role="app_a", forced=True).steps[-1] == "end the session 7 web from 10.0.0.1 of app_a"
    )
    plan = planned("retired", WHOLE, role="app_a")
    assert plan.retire == ("app_a",)
    assert plan.warnings, "nobody can log in after it"
    assert not plan.irreversible


def test_disabled_before_deleted() -> None:
    assert refusal("scrambled", WHOLE, role="app_a").code == "role_in_use"
    assert refusal("absent", WHOLE, role="app_a").code == "role_in_use"
    plan = planned("scrambled", WHOLE, role="app_b")
    assert sql(plan) == ["ALTER ROLE \"app_b\" PASSWORD NULL VALID UNTIL '-infinity'"]
    assert plan.irreversible
    without = facts(GROUP, member("app_a"), member("app_b", login=False, scrambled=True, expired=True))
    assert not planned("scrambled", without, role="app_b").changed
    assert refusal("active", without, role="app_b").code == "invalid_parameter"


def test_dropping_what_is_needed() -> None:
    retired = facts(replace(GROUP, dependents=3), member("app_a", login=False), member("app_b", login=False))
    assert refusal("absent", retired).code == "role_needed"
    gone = facts(GROUP, member("app_a", login=False), member("app_b", login=False))
    assert sql(planned("absent", gone)) == ['DROP ROLE "app_a"', 'DROP ROLE "app_b"', 'DROP ROLE "app"']


@pytest.mark.parametrize(
    ("found", "names", "code"),
    [
        (facts(manager=replace(MANAGER, session_user="app_a")), NAMES, "role_refused"),
        (facts(), Names.read("service_role", None, None), "role_refused"),
        (facts(), Names.read("x", ["supabase_admin", "y"], None), "role_refused"),
        (facts(member("app_a", superuser=True)), NAMES, "role_refused"),
        (facts(replace(GROUP, login=True)), NAMES, "role_refused"),
        (facts(manager=replace(MANAGER, createrole=False)), NAMES, "privilege_missing"),
        (facts(GROUP, member("app_a", manageable=False), member("app_b")), NAMES, "privilege_missing"),
    ],
)
def test_what_is_refused(found: PairFact, names: Names, code: str) -> None:
    assert refusal("present", found, names=names).code == code


@pytest.mark.parametrize(
    ("group", "roles"),
    [("", None), ("g" * 62, None), ("public", None), ("a", ["b"]), ("a", ["a", "b"]), ("a", ["b", "b"])],
)
def test_names_that_are_none(group: str, roles: list[str] | None) -> None:
    with pytest.raises(RunbookError) as caught:
        Names.read(group, roles, None)
    assert caught.value.code == "invalid_parameter"


# --- Passwords -------------------------------------------------------------------------------------------


def kept(password: str, iterations: int = 4096) -> str:
    """A verifier as RFC 5803 describes it."""
    salt = b"0123456789abcdef"
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.new(salted, b"Client Key", "sha256").digest()).digest()
    server = hmac.new(salted, b"Server Key", "sha256").digest()
    encoded = [base64.b64encode(each).decode() for each in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def test_a_verifier_is_compared_without_a_login() -> None:
    assert passwords.matches(kept("correct horse battery", 5000), "correct horse battery") is True
    assert passwords.matches(kept("correct horse battery"), "correct horse batterz") is False
    for other in (None, "", "md5" + "0" * 32, kept("x").replace("$", ":", 1)):
        assert passwords.matches(other, "x") is None


@pytest.mark.parametrize(
    "password",
    ["w0rd", "fifteen-charact", "with a blank in it", "ümlaut-password-x", "tab\tin-a-password", "app_a-app_a-app_a"],
)
def test_passwords_that_are_refused(password: str) -> None:
    with pytest.raises(RunbookError) as caught:
        passwords.check(password, "app_a")
    assert caught.value.code == "invalid_parameter"
    assert password not in caught.value.message


def test_a_password_with_everything_that_is_printed() -> None:
    passwords.check("".join(chr(each) for each in range(0x21, 0x7F)), "app_a")


# --- Adoption --------------------------------------------------------------------------------------------

LEGACY = RoleFact(name="legacy", oid=3, login=True)


def test_the_old_role_as_the_group_hands_nothing_over() -> None:
    owning = AdoptionFact(
        owned=(("table", "public.t"),), policies=(Policy(table="t", name="p", roles=("app",), asks=()),)
    )
    assert plan_adoption(NAMES, facts(replace(GROUP, login=True)), owning) == []


def test_what_goes_over_to_another_group() -> None:
    found = AdoptionFact(
        owned=(("table", "public.t"), ("table", "public.u")),
        grants=(
            Grant(
                kind="TABLE", thing="public.v", columns="a", owner="x", privilege="SELECT", grantable=False, can=True
            ),
        ),
        memberships=(Membership(role="readers", held=False, can=True), Membership(role="held", held=True, can=True)),
        policies=(Policy(table="public.t", name="p", roles=("legacy", "other"), asks=()),),
        defaults=(
            Defaults(role="legacy", schema="s", kind="r", can=True, entries=frozenset({("readers", "SELECT", False)})),
            Defaults(role="legacy", schema=None, kind="f", can=True, entries=frozenset({("legacy", "EXECUTE", False)})),
            Defaults(role="x", schema=None, kind="S", can=True, entries=frozenset({("legacy", "USAGE", False)})),
        ),
        built_in={"f": frozenset({("legacy", "EXECUTE", False), ("", "EXECUTE", False)})},
        has_old=True,
    )
    made = [each.sql for each in plan_adoption(OLD, facts(GROUP, LEGACY), found)]
    assert made == [
        'GRANT "app" TO CURRENT_USER WITH INHERIT TRUE, SET TRUE',
        'GRANT "app" TO "legacy" WITH INHERIT TRUE, SET TRUE',
        'GRANT "readers" TO "app"',
        'GRANT SELECT (a) ON TABLE public.v TO "app"',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "app" IN SCHEMA "s" GRANT SELECT ON TABLES TO "readers"',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "app" REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "x" GRANT USAGE ON SEQUENCES TO "app"',
        "ALTER ROLE \"legacy\" SET role = 'app'",
        'REASSIGN OWNED BY "legacy" TO "app"',
        'ALTER POLICY "p" ON public.t TO "app", "other"',
        'REVOKE "app" FROM CURRENT_USER',
    ]


@pytest.mark.parametrize(
    ("found", "role", "said"),
    [
        (
            AdoptionFact(policies=(Policy(table="t", name="p", roles=("",), asks=("CURRENT_USER",)),)),
            LEGACY,
            "CURRENT_USER",
        ),
        (AdoptionFact(owned=(("event trigger", "e"),)), LEGACY, "cannot be owned"),
        (AdoptionFact(members=("app",)), LEGACY, "other way round"),
        (AdoptionFact(mappings=("far",)), LEGACY, "user mapping"),
        (AdoptionFact(own_schema=True), LEGACY, "$user"),
        (AdoptionFact(closed_schemas=("s",)), LEGACY, 'GRANT CREATE ON SCHEMA "s" TO "legacy"'),
        (AdoptionFact(memberships=(Membership(role="pg_monitor", held=False, can=False),)), LEGACY, "pg_monitor"),
        (AdoptionFact(), replace(LEGACY, bypassrls=True), "BYPASSRLS"),
        (AdoptionFact(), replace(LEGACY, replication=True), "REPLICATION"),
    ],
)
def test_what_stands_in_the_way_of_an_adoption(found: AdoptionFact, role: RoleFact, said: str) -> None:
    (reason,) = hindrances(OLD, facts(GROUP, role), found)
    assert said in reason


def test_row_security_goes_over_where_it_may() -> None:
    found = AdoptionFact(has_old=True, has_group=True)
    able = facts(GROUP, replace(LEGACY, bypassrls=True, member=True, may_set=True, inherits=True, acts_as="app"),
                 manager=replace(MANAGER, bypassrls=True))  # fmt: skip
    assert hindrances(OLD, able, found) == []
    assert [each.sql for each in plan_adoption(OLD, able, found)] == ['ALTER ROLE "app" BYPASSRLS']
    assert hindrances(OLD, replace(able, major=15), found), "a superuser's before PostgreSQL 16"
