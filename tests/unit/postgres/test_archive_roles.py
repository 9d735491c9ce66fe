# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which roles an archive names, and what is left of it without some of them."""

from __future__ import annotations

import io
from itertools import combinations
from pathlib import Path

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Entry, read_head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive_roles import (
    RoleSetting,
    granted,
    is_about_database,
    policy_name,
    role_settings,
    roles_named,
    without_roles,
)

ARCHIVES = sorted((Path(__file__).parent / "archives").glob("*.dump"))
ROLES = {"s_owner", "s_reader", "s_other", "s Odd; role", "s_super"}


def entries_of(path: Path) -> tuple[Entry, ...]:
    return read_head(io.BytesIO(path.read_bytes()), "object").entries


def entry(desc: str, defn: str, *, tag: str = "thing", owner: str | None = "owner", namespace: str = "public") -> Entry:
    return Entry(
        dump_id=1,
        desc=desc,
        tag=tag,
        section="pre-data",
        namespace=namespace,
        owner=owner,
        defn=defn,
        copy=None,
        tablespace=None,
        table_am=None,
        has_data=False,
        depends_on=(),
        position=0,
    )


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.stem)
def test_every_role_of_a_real_archive_is_found(path: Path) -> None:
    entries = entries_of(path)
    assert roles_named(entries) == ROLES | {"postgres"}
    assert roles_named(entries, owners=False) == ROLES - {"s_super"}
    # Owners and grants apart, policies and user mappings still name roles.
    assert roles_named(entries, owners=False, privileges=False) == {"s_reader", "s_other", "s Odd; role"}


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.stem)
@pytest.mark.parametrize("missing", [set(c) for n in (1, 2, 5) for c in combinations(sorted(ROLES), n)], ids=sorted)
def test_nothing_that_remains_names_a_missing_role(path: Path, missing: set[str]) -> None:
    for each in entries_of(path):
        reduced = without_roles(each, missing)
        named = roles_named([each]) & missing
        assert bool(reduced.losses) == bool(named), each
        if not reduced.left_out and reduced.change is not None:
            owner = each.owner if reduced.change.owner is None else reduced.change.owner
            defn = each.defn if reduced.change.defn is None else reduced.change.defn
            rest = entry(each.desc, defn or "", tag=each.tag, owner=owner)
            assert not roles_named([rest]) & missing
            assert roles_named([rest]) <= roles_named([each])


def test_what_is_granted_to_whom() -> None:
    sql = (
        "REVOKE ALL ON TABLE public.t FROM lost;\nGRANT SELECT,INSERT ON TABLE public.t TO plain;\n"
        'GRANT ALL ON TABLE public."a TO b;" TO "Odd; ""role" WITH GRANT OPTION;\n'
        'SET SESSION AUTHORIZATION "Odd; ""role";\nGRANT SELECT ON TABLE public.t TO PUBLIC;\n'
        "RESET SESSION AUTHORIZATION;\n"
        'GRANT SELECT(nick),UPDATE("ON, ""A") ON TABLE public.t TO PUBLIC;\n'
    )
    assert granted(sql) == {"plain": {"SELECT", "INSERT"}, 'Odd; "role': {"ALL*"}, "PUBLIC": {"SELECT", "UPDATE"}}
    for path in ARCHIVES:
        for each in (each for each in entries_of(path) if each.desc == "ACL" and not is_about_database(each)):
            assert granted(each.defn or "").keys() - {"PUBLIC"} <= roles_named([each])


def test_without_missing_roles_nothing_changes() -> None:
    for path in ARCHIVES:
        for each in entries_of(path):
            reduced = without_roles(each, {"somebody else"})
            assert (reduced.change, reduced.left_out, reduced.losses) == (None, False, ())


def test_grants_lose_only_the_statements_of_the_missing_role() -> None:
    acl = entry(
        "ACL",
        "REVOKE ALL ON TABLE public.t FROM app;\nGRANT SELECT ON TABLE public.t TO app;\n"
        'GRANT ALL ON TABLE public.t TO "a;b" WITH GRANT OPTION;\nGRANT SELECT ON TABLE public.t TO PUBLIC;\n',
    )
    reduced = without_roles(acl, {"app"})
    assert reduced.change is not None
    assert reduced.change.defn == (
        'GRANT ALL ON TABLE public.t TO "a;b" WITH GRANT OPTION;\nGRANT SELECT ON TABLE public.t TO PUBLIC;\n'
    )
    assert reduced.losses == ("privileges of app (public.thing)",)
    reduced = without_roles(acl, {"a;b"})
    assert reduced.change is not None
    assert "a;b" not in (reduced.change.defn or "")


def test_grants_of_a_missing_grantor_go_with_their_session_lines() -> None:
    acl = entry(
        "ACL",
        "GRANT SELECT ON TABLE public.t TO one WITH GRANT OPTION;\nSET SESSION AUTHORIZATION one;\n"
        "GRANT SELECT ON TABLE public.t TO two;\nRESET SESSION AUTHORIZATION;\n"
        'SET SESSION AUTHORIZATION "T hree";\nGRANT SELECT ON TABLE public.t TO four;\nRESET SESSION AUTHORIZATION;\n',
    )
    reduced = without_roles(acl, {"one"})
    assert reduced.change is not None
    assert reduced.change.defn == (
        'SET SESSION AUTHORIZATION "T hree";\nGRANT SELECT ON TABLE public.t TO four;\nRESET SESSION AUTHORIZATION;\n'
    )
    reduced = without_roles(acl, {"four"})
    assert reduced.change is not None
    assert (reduced.change.defn or "").count("SESSION AUTHORIZATION") == 2
    assert without_roles(acl, {"one", "four"}).left_out


def test_a_restrictive_policy_stays_for_the_roles_that_exist() -> None:
    policy = entry(
        "POLICY",
        'CREATE POLICY "to" ON public."T able" AS RESTRICTIVE FOR SELECT TO app, "O dd", third '
        "USING ((note <> ' TO nobody USING ('::text));\n",
        tag="T able to",
    )
    reduced = without_roles(policy, {"O dd"})
    assert reduced.change is not None
    assert reduced.change.defn == (
        'CREATE POLICY "to" ON public."T able" AS RESTRICTIVE FOR SELECT TO app, third '
        "USING ((note <> ' TO nobody USING ('::text));\n"
    )
    assert reduced.losses == ("role O dd of POLICY public.T able to",)
    assert policy_name(policy) == "to"
    gone = without_roles(policy, {"app", "O dd", "third"})
    assert gone.left_out
    assert len(gone.losses) == 3


def test_policies_for_everybody_name_nobody() -> None:
    for defn in ("CREATE POLICY p ON public.t USING (true);", "CREATE POLICY p ON public.t TO PUBLIC USING (true);"):
        policy = entry("POLICY", defn, owner=None)
        assert roles_named([policy]) == set()
        assert without_roles(policy, {"PUBLIC", "true"}).losses == ()


@pytest.mark.parametrize("role", ["one", "two"])
def test_default_privileges_depend_on_both_roles(role: str) -> None:
    default = entry(
        "DEFAULT ACL",
        "ALTER DEFAULT PRIVILEGES FOR ROLE one IN SCHEMA public GRANT SELECT ON TABLES TO two;\n",
        tag="DEFAULT PRIVILEGES FOR TABLES",
    )
    assert roles_named([default]) == {"one", "two"}
    reduced = without_roles(default, {role})
    assert reduced.left_out
    assert reduced.losses == (f"default privileges of {role} (public.DEFAULT PRIVILEGES FOR TABLES)",)


def test_what_is_about_the_database_itself_is_passed_over() -> None:
    about = [
        entry("DATABASE", "CREATE DATABASE sample;", tag="sample"),
        entry("DATABASE PROPERTIES", "ALTER ROLE x IN DATABASE sample SET a TO 'b';", tag="sample"),
        entry("ACL", "GRANT ALL ON DATABASE sample TO somebody;", tag="DATABASE sample"),
        entry("COMMENT", "COMMENT ON DATABASE sample IS 'x';", tag="DATABASE sample"),
    ]
    assert all(map(is_about_database, about))
    assert roles_named(about) == set()
    assert not is_about_database(entry("ACL", "", tag="TABLE database"))


def test_settings_of_roles_in_the_database_are_found() -> None:
    properties = entry(
        "DATABASE PROPERTIES",
        "ALTER DATABASE sample CONNECTION LIMIT = 7;\nALTER DATABASE sample SET work_mem TO '5MB';\n"
        "ALTER ROLE app IN DATABASE sample SET \"DateStyle\" TO 'German; DMY';\n\n"
        "ALTER ROLE \"O \"\"dd IN\" IN DATABASE \"s; a\" SET search_path TO 'a', 'b''c';\n",
    )
    assert list(role_settings([properties, entry("TABLE", properties.defn or "")])) == [
        RoleSetting(role="app", clause="SET \"DateStyle\" TO 'German; DMY'"),
        RoleSetting(role='O "dd IN', clause="SET search_path TO 'a', 'b''c'"),
    ]


def test_owners_count_only_where_pg_restore_sets_them() -> None:
    assert roles_named([entry("COMMENT", "COMMENT ON TABLE t IS 'x';", owner="gone")]) == set()
    assert roles_named([entry("TABLE DATA", "", owner="gone")]) == set()
    assert without_roles(entry("TABLE", "CREATE TABLE t ();", owner="gone"), {"gone"}).losses == (
        "owner gone of TABLE public.thing",
    )
