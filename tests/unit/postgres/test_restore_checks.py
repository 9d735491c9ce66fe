# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is refused before a restore creates anything."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import read_head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    ExtensionFact,
    RoleFact,
    Selection,
    TableFact,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore import checks
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import Ownership
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.facts import (
    TargetFacts,
    missing_locales,
    normal_locale,
)

from harness.manifests import make_database_fact, make_manifest, make_server

ARCHIVE = Path(__file__).parent / "archives" / "pg18_zstd.dump"
HEAD = read_head(io.BytesIO(ARCHIVE.read_bytes()), "object")
GB = 1_000_000_000


def make_target(**changes: Any) -> TargetFacts:
    facts: dict[str, Any] = {
        "server": make_server(),
        "label": "db:5432/postgres",
        "user": "app_admin",
        "superuser": False,
        "may_create_database": True,
        "may_create_role": False,
        "databases": {"postgres": 5},
        "roles": frozenset({"app_admin", "app"}),
        "roles_acted_for": frozenset({"app_admin", "app"}),
        "extensions": {"plpgsql": "1.0", "pg_trgm": "1.6"},
        "tablespaces": frozenset({"pg_default"}),
        "locales": frozenset({"c.utf8"}),
        "has_icu": False,
        "free_bytes": None,
    }
    return TargetFacts(**{**facts, **changes})


def refused(code: str, check: Callable[[], object]) -> str:
    with pytest.raises(RunbookError) as failure:
        check()
    assert failure.value.code == code
    return failure.value.message


@pytest.mark.parametrize("name", ["a", "ä" * 31 + "x", 'odd "name" = \\ ; %s', "postgres://x"])
def test_names_that_postgresql_keeps_are_taken(name: str) -> None:
    checks.check_target_name(name)


@pytest.mark.parametrize("name", ["", "ä" * 32, "a\0b", "a\ud800"])
def test_names_that_postgresql_would_change_are_refused(name: str) -> None:
    refused("invalid_parameter", lambda: checks.check_target_name(name))


def test_an_occupied_target_is_refused() -> None:
    for live, holds, said in (
        (True, None, "live database, which only the strategies swap and in_place replace"),
        (False, "b1", "backup b1"),
        (False, None, "not made by this"),
    ):
        failure = checks.target_occupied("app", "db", live=live, holds=holds)
        assert failure.code == "target_occupied"
        assert said in failure.message
        assert ("drop app" in failure.message) is (holds is not None)


def test_a_server_older_than_the_backup_is_refused() -> None:
    manifest = make_manifest(server=make_server(17))
    old = make_target(server=make_server(15))
    assert "17 or later" in refused("server_too_old", lambda: checks.check_server(manifest, old))
    # needs_major of this manifest is 18: what its pg_dump wrote, no older pg_restore reads.
    refused("server_too_old", lambda: checks.check_server(manifest, make_target(server=make_server(17))))
    checks.check_server(manifest, make_target(server=make_server(18)))


def test_a_standby_is_refused() -> None:
    standby = make_target(server=make_server(in_recovery=True))
    assert "primary" in refused("server_failed", lambda: checks.check_server(make_manifest(), standby))


def test_icu_must_be_there() -> None:
    manifest = make_manifest(database=make_database_fact(locale_provider="icu", locale="de-AT"))
    assert "de-AT" in refused("locale_missing", lambda: checks.check_server(manifest, make_target()))
    checks.check_server(manifest, make_target(has_icu=True))


def test_unseen_locales_are_a_warning() -> None:
    assert checks.locale_warnings(make_manifest(), make_target()) == ()
    manifest = make_manifest(database=make_database_fact(collate="de_AT.UTF-8", ctype="de_AT.UTF-8"))
    (warning,) = checks.locale_warnings(manifest, make_target())
    assert "de_AT.UTF-8" in warning
    assert checks.locale_warnings(manifest, make_target(locales=frozenset({"de_at.utf8"}))) == ()


def test_spellings_of_a_locale_are_one() -> None:
    assert normal_locale("en_US.UTF-8") == normal_locale("en_US.utf8")
    assert missing_locales(["C", "POSIX", "", "x"], ()) == ["x"]


@pytest.mark.parametrize(
    ("tag", "defn", "tied"),
    [
        ("t t_fkey", "ALTER TABLE ONLY app.t ADD CONSTRAINT t_fkey FOREIGN KEY (a) REFERENCES app.other(id);", True),
        ("tt t_fkey", "ALTER TABLE ONLY app.tt ADD CONSTRAINT t_fkey FOREIGN KEY (a) REFERENCES app.t(id);", True),
        ("tt t_fkey", 'ALTER TABLE ONLY app.tt ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES "app"."t"(id);', True),
        ("tt t_fkey", "ALTER TABLE ONLY app.tt ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES app.tt(id);", False),
    ],
)
def test_keys_of_tables_that_force_row_security(tag: str, defn: str, tied: bool) -> None:
    table = TableFact(schema="app", name="t", kind="table", rows=1, row_security=True, row_security_forced=True)
    key = replace(HEAD.entries[0], desc="FK CONSTRAINT", namespace="app", tag=tag, defn=defn)
    manifest, heads = make_manifest(tables=(table,)), [replace(HEAD, entries=(key,))]
    if tied:
        assert "app.t" in refused("privilege_missing", lambda: checks.check_policies(manifest, heads, make_target()))
    else:
        checks.check_policies(manifest, heads, make_target())
    checks.check_policies(manifest, heads, make_target(bypasses_policies=True))
    checks.check_policies(make_manifest(tables=(replace(table, row_security_forced=False),)), heads, make_target())


def test_missing_extensions_are_named_with_their_package() -> None:
    checks.check_extensions([HEAD], make_target())
    said = refused("extension_missing", lambda: checks.check_extensions([HEAD], make_target(extensions={})))
    assert "pg_trgm" in said
    assert "postgresql-contrib" in said
    entry = next(entry for entry in HEAD.entries if entry.desc == "EXTENSION")
    vector = replace(HEAD, entries=(replace(entry, tag="vector"),))
    said = refused("extension_missing", lambda: checks.check_extensions([vector], make_target()))
    assert "postgresql-18-pgvector" in said


def test_other_versions_of_extensions_are_a_warning() -> None:
    manifest = make_manifest(
        extensions=(
            ExtensionFact(name="pg_trgm", version="1.5", schema="public"),
            ExtensionFact(name="plpgsql", version="1.0", schema="pg_catalog"),
            ExtensionFact(name="of_a_schema_left_out", version="1", schema="x"),
        )
    )
    assert checks.extension_warnings(manifest, make_target()) == (
        "Extension pg_trgm is restored as version 1.6; it was 1.5.",
    )


def test_rights_follow_what_is_asked() -> None:
    create = Ownership(roles="create_nologin")
    checks.check_rights(make_target(), create, set())
    assert "CREATEROLE" in refused("privilege_missing", lambda: checks.check_rights(make_target(), create, {"x"}))
    assert "CREATEDB" in refused(
        "privilege_missing", lambda: checks.check_rights(make_target(may_create_database=False), Ownership(), set())
    )


def test_owners_must_be_roles_that_one_may_act_for() -> None:
    checks.check_owners({"app", "pg_database_owner", "missing"}, make_target())
    foreign = make_target(roles=frozenset({"app", "other"}))
    for major, advised in (
        (18, 'GRANT "other" TO "app_admin" WITH INHERIT TRUE, SET TRUE;'),
        (15, 'ALTER ROLE "app_admin" INHERIT; GRANT "other" TO "app_admin";'),
    ):
        server = replace(foreign, server=replace(foreign.server, major=major))
        assert advised in refused("privilege_missing", lambda: checks.check_owners({"app", "other"}, server))  # noqa: B023
    checks.check_owners({"app", "other"}, replace(foreign, superuser=True))
    mighty = replace(foreign, superusers=frozenset({"other", "postgres"}))
    said = refused("privilege_missing", lambda: checks.check_owners({"app", "other"}, mighty))
    assert "GRANT" not in said, "nobody is advised to make a superuser of a role"
    assert "whoever may act for other is one, or give all objects to one role" in said


def test_missing_roles_are_listed_with_their_statements() -> None:
    manifest = make_manifest(roles=(RoleFact(name='re"porting', attributes=("LOGIN", "CREATEDB")),))
    check = checks.check_roles
    said = refused("role_missing", lambda: check(manifest, make_target(), Ownership(), {"x", 're"porting'}))
    assert 'CREATE ROLE "re""porting" LOGIN CREATEDB;' in said
    assert 'CREATE ROLE "x";' in said
    for roles in ("create_nologin", "skip"):
        check(manifest, make_target(), Ownership(roles=roles), {"x"})


def test_the_asked_for_owner_must_exist_unless_it_is_made() -> None:
    manifest = make_manifest()
    skip, create = Ownership(roles="skip", owner="x"), Ownership(roles="create_nologin", owner="x")
    refused("role_missing", lambda: checks.check_roles(manifest, make_target(), skip, {"x"}))
    checks.check_roles(manifest, make_target(), create, {"x"})
    checks.check_roles(manifest, make_target(), skip, {"y"})


@pytest.mark.parametrize(
    ("read", "stated", "protected", "free"),
    [
        (9 * GB, None, True, 9 * GB),
        (None, 9 * GB, True, 9 * GB),
        (9 * GB, 8 * GB, False, 8 * GB),
        (None, None, False, None),
    ],
)
def test_enough_space_is_enough(read: int | None, stated: int | None, protected: bool, free: int | None) -> None:
    assert checks.check_disk(make_manifest(), make_target(free_bytes=read), stated, protected) == free


@pytest.mark.parametrize(("read", "stated"), [(GB, None), (None, GB), (9 * GB, GB), (GB, 9 * GB)])
@pytest.mark.parametrize("protected", [True, False])
def test_too_little_space_is_refused(read: int | None, stated: int | None, protected: bool) -> None:
    target = make_target(free_bytes=read)
    refused("disk_too_small", lambda: checks.check_disk(make_manifest(), target, stated, protected))


def test_unknown_space_is_refused_where_people_depend_on_the_server() -> None:
    said = refused("disk_free_unknown", lambda: checks.check_disk(make_manifest(), make_target(), None, True))
    assert "1.1 GiB" in said
    assert "disk_free" in said


def test_a_part_needs_less_than_the_whole() -> None:
    table = TableFact(schema="s", name="t", kind="table", bytes=1000)
    without = replace(table, name="u", data=False, bytes=10**12)
    part = make_manifest(selection=Selection(schemas=("s",)), tables=(table, without))
    assert checks.bytes_needed(part) == 2400
    assert checks.bytes_needed(make_manifest(tables=(table, without))) == int(GB * 1.2)
