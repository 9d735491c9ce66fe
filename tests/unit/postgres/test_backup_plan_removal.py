# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deleting a backup, and restoring one by hand."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.by_hand import by_hand
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    AgeFact,
    ArchiveFact,
    ObjectFact,
    Selection,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.removal import Doomed, plan_removal
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verdict import Verdict

from harness.manifests import NOON, make_database_fact, make_manifest

ROOT = "production/databases/main/backups/one"
INDEX = "production/databases/main/index/20261120T120000250000Z.one.scheduled.1000.aaaaaaaaaaaa"


WHOLE, PART = Selection(), Selection(exclude_tables=("public.log",))


def doomed(**changes: Any) -> Doomed:
    facts: dict[str, Any] = {
        "backup_id": "one",
        "store_url": "s3://bucket",
        "label": "production/main in s3://bucket",
        "now": NOON,
        "manifest": make_manifest("one"),
        "index": (INDEX,),
        "objects": (f"{ROOT}/aaaaaaaaaaaa/database.dump", f"{ROOT}/manifest.json", f"{ROOT}/proven.json"),
        "newest_good": False,
    }
    return Doomed(**{**facts, **changes})


def test_it_stops_counting_before_it_loses_anything() -> None:
    plan = plan_removal(doomed(), force=False)
    archive, manifest, proof = doomed().objects
    assert plan.keys == (INDEX, manifest, archive, proof)
    assert plan.changed
    assert plan.result["state"] == "absent"
    assert len(plan.irreversible) == 1


def test_what_is_not_there_is_absent() -> None:
    plan = plan_removal(doomed(manifest=None, index=(), objects=()), force=False)
    assert (plan.changed, plan.keys, plan.result["state"]) == (False, (), "absent")


def test_what_an_unfinished_deletion_left_goes_too() -> None:
    objects = (f"{ROOT}/aaaaaaaaaaaa/database.dump",)
    plan = plan_removal(doomed(manifest=None, index=(), objects=objects), force=False)
    assert (plan.changed, plan.keys, plan.irreversible) == (True, objects, ())


@pytest.mark.parametrize(
    ("changes", "force", "refused"),
    [
        ({"newest_good": True}, False, True),
        ({"newest_good": True}, True, False),
        ({"verdict": Verdict(held=True, hold_reason="audit")}, True, True),
        ({"index": (INDEX, f"{INDEX}.proven")}, False, False),
    ],
)
def test_protection(changes: dict[str, Any], force: bool, refused: bool) -> None:
    if not refused:
        assert plan_removal(doomed(**changes), force=force).changed
        return
    with pytest.raises(RunbookError) as caught:
        plan_removal(doomed(**changes), force=force)
    assert caught.value.code == "backup_protected"


def commands(
    store_url: str,
    endpoint_url: str | None = None,
    *,
    selection: Selection = WHOLE,
    major: int = 18,
    files: Sequence[str] = ("database",),
    age: AgeFact | None = None,
    **database: Any,
) -> list[str]:
    end = ".age" if age else ""
    archives = [
        ArchiveFact(key=f"{ROOT}/t/{file}.dump{end}", bytes=1, sha256="ab", entries=1, age=age) for file in files
    ]
    roles = ObjectFact(key=f"{ROOT}/t/globals.sql{end}", bytes=1, sha256="cd", age=age)
    described = by_hand(
        store_url=store_url,
        endpoint_url=endpoint_url,
        archives=archives,
        roles=roles,
        database=make_database_fact(**database),
        selection=selection,
        major=major,
    )
    assert described.needs_major == major
    return list(described.commands)


def test_a_whole_database_by_hand_from_s3() -> None:
    lines = commands("s3://bucket/prefix", "http://127.0.0.1:4566")
    source = f"s3://bucket/prefix/{ROOT}/t/database.dump"
    assert lines[0] == f"aws s3 cp --endpoint-url http://127.0.0.1:4566 {source} database.dump"
    assert "ab  database.dump" in lines[1]
    assert "globals.sql" in lines[2]
    assert lines[-2] == "pg_restore --exit-on-error --create --dbname=postgres database.dump"
    assert not any(line.startswith("createdb") for line in lines)


@pytest.mark.parametrize("selection", [WHOLE, PART])
def test_several_archives_by_hand_in_the_order_in_which_they_must_be_restored(selection: Selection) -> None:
    lines = commands("s3://b", selection=selection, files=("sections", "rest", "table-001"))
    restoring = [line for line in lines if line.startswith("pg_restore")]
    first = "--create --dbname=postgres" if selection.whole else "'--dbname=dbname='\"'\"'app'\"'\"''"
    assert restoring[0] == f"pg_restore --exit-on-error --section=pre-data {first} sections.dump"
    assert [line.split()[-1] for line in restoring] == ["sections.dump", "rest.dump", "table-001.dump", "sections.dump"]
    assert "--section=post-data" in restoring[-1]
    assert not any("--create" in line for line in restoring[1:])
    assert len([line for line in lines if "sha256sum" in line]) == 3


def test_what_is_encrypted_goes_through_age_and_lies_nowhere_as_it_was() -> None:
    age = AgeFact(bytes=1, header_bytes=1, header_sha256="ef")
    lines = commands("s3://b", files=("sections", "rest"), age=age)
    decrypt = 'age --decrypt --identity "${AGE_IDENTITY:?}"'
    assert [line for line in lines if "age --decrypt" in line] == [
        f'roles="$({decrypt} globals.sql.age)"',
        f"{decrypt} sections.dump.age | pg_restore --exit-on-error --section=pre-data --create --dbname=postgres",
        f"{decrypt} rest.dump.age | pg_restore --exit-on-error '--dbname=dbname='\"'\"'app'\"'\"''",
        f"{decrypt} sections.dump.age | pg_restore --exit-on-error --section=post-data"
        " '--dbname=dbname='\"'\"'app'\"'\"''",
    ]
    assert lines[lines.index(f'roles="$({decrypt} globals.sql.age)"') + 1].endswith("| psql --dbname=postgres")
    assert len([line for line in lines if "sha256sum" in line and ".dump.age" in line]) == 2


def test_a_part_by_hand_from_a_directory_with_odd_names() -> None:
    lines = commands("file:///back%20ups", name="it's a=b", selection=PART)
    assert shlex.split(lines[0])[1] == f"/back ups/{ROOT}/t/database.dump"
    restore = shlex.split(lines[-2])
    assert restore[-2] == r"--dbname=dbname='it\'s a=b'"
    assert shlex.split(lines[-3])[-1] == "it's a=b"


@pytest.mark.parametrize(
    ("facts", "options"),
    [
        (
            {"locale_provider": "icu", "locale": "de-DE", "icu_rules": "& a < b"},
            {"--locale-provider=icu", "--icu-locale=de-DE", "--icu-rules=& a < b"},
        ),
        (
            {"locale_provider": "builtin", "locale": "C.UTF-8"},
            {"--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--template=template0"},
        ),
    ],
)
def test_a_part_by_hand_with_other_locale_providers(facts: dict[str, Any], options: set[str]) -> None:
    create = next(line for line in commands("s3://b", selection=PART, **facts) if line.startswith("createdb"))
    assert options <= set(shlex.split(create))


def test_a_part_by_hand_has_the_schemas_that_its_archive_expects() -> None:
    schemas = commands("s3://b", selection=Selection(schemas=("app", "public")))
    assert [line for line in schemas if "SCHEMA" in line] == [
        "psql '--dbname=dbname='\"'\"'app'\"'\"'' --command='DROP SCHEMA public'"
    ]
    tables = commands("s3://b", selection=Selection(tables=("App.t", "public.u")))
    made = [line for line in tables if "SCHEMA" in line]
    assert len(made) == 1
    assert shlex.split(made[0])[-1] == '--command=CREATE SCHEMA "App"'
    assert tables.index(made[0]) < next(n for n, line in enumerate(tables) if line.startswith("pg_restore"))
