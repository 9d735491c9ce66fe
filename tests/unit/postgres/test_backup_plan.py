# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What postgres_backup decides, from parameters and what was observed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import ID
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.backup import BACKUP_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.compression import Compression, compression
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.plan import (
    Observed,
    Reached,
    Work,
    check_same,
    describe,
    plan_backup,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.request import Request, request
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    Endpoint,
    Manifest,
    Selection,
    TableName,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import Relation, Scope, in_words
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.tools import Tool

from harness.manifests import NOON, make_database_fact, make_manifest, make_server


def wanted(**params: Any) -> Request:
    """The request in parameters that are as AnsibleModule would give them."""
    defaults = {name: option.get("default") for name, option in BACKUP_SPEC.options.items()}
    return request({**defaults, "environment": "production", "name": "main", **params}, NOON)


def reached(**server: Any) -> Reached:
    endpoint = Endpoint(host="db", port=5432, user="backup", database="app")
    return Reached(
        endpoint=endpoint,
        server=make_server(**server),
        database=make_database_fact(),
        role="backup",
        source="database_url",
    )


def table(name: str, oid: int, kind: str = "r") -> Relation:
    return Relation(oid=oid, name=TableName(schema="public", name=name), kind=kind)


def work(**changes: Any) -> Work:
    tables = (table("a", 1), table("b", 2))
    scope = Scope(tables=tables, data=frozenset({1, 2}), sequences=(), large_objects=True, arguments=())
    tool = Tool(name="pg_dump", path="/bin/pg_dump", version="18.6", major=18)
    facts: dict[str, Any] = {
        "scope": scope,
        "pg_dump": tool,
        "pg_restore": replace(tool, name="pg_restore"),
        "pg_dumpall": None,
        "compression": Compression(method="zstd", level=3),
        "part_size": 8 * 1024**2,
        "memory_budget": 64 * 1024**2,
        "memory_budget_raised": False,
        "bound": True,
    }
    return Work(**{**facts, **changes})


def observed(existing: Manifest | None = None, *, indexed: bool = True, make: Work | None = None) -> Observed:
    return Observed(
        reached=reached(),
        store_url="s3://bucket/prefix",
        now=NOON + timedelta(hours=2),
        existing=existing,
        indexed=indexed,
        work=None if existing else make or work(),
    )


def test_a_backup_that_is_there_is_the_result() -> None:
    plan = plan_backup(wanted(backup_id="one"), observed(make_manifest("one")))
    assert (plan.action, plan.changed, plan.steps) == ("nothing", False, ())
    assert plan.result["id"] == "one"
    assert plan.result["age_seconds"] == 7200
    assert plan.result["endpoint"] == "db:5432/app"


def test_one_without_its_index_key_gets_it() -> None:
    plan = plan_backup(wanted(backup_id="one"), observed(make_manifest("one"), indexed=False))
    assert (plan.action, plan.changed) == ("amend", True)
    assert len(plan.steps) == 1


def test_what_is_predicted_has_the_form_of_what_is_made() -> None:
    plan = plan_backup(wanted(backup_id="one", include_globals=True), observed(make=work(pg_dumpall=work().pg_dump)))
    assert (plan.action, plan.changed, plan.irreversible) == ("make", True, ())
    made = describe(make_manifest("one"), reached(), store_url="s3://bucket/prefix", now=NOON, work=work())
    assert set(plan.result) == set(made)
    assert set(plan.result["archives"][0]) == set(made["archives"][0])
    assert plan.result["bytes"] is None
    assert plan.result["archives"][0]["key"] == "production/databases/main/backups/one/<run token>/database.dump"
    assert plan.result["globals"]["sha256"] is None
    assert plan.result["tables"] == 2


def test_the_steps_say_what_is_done_and_what_is_not() -> None:
    def steps(make: Work, **params: Any) -> str:
        return "\n".join(plan_backup(wanted(backup_id="one", **params), observed(make=make)).steps)

    assert "bind" not in steps(work())
    assert "bind production/main to db:5432/app" in steps(work(bound=False))
    assert "at most 4 h" in steps(work(), timeout="4h")
    assert "count" not in steps(work(), row_counts="none")
    assert "roles" in steps(work(pg_dumpall=work().pg_dump))
    assert "tables public.a" in steps(work(), tables=["a"])


def test_each_number_of_tables_says_what_it_counts() -> None:
    """A materialized view is dumped and not locked, a partitioned table has no rows of its own."""
    tables = (table("a", 1), table("b", 2), table("c", 3, "p"), table("d", 4, "m"), table("e", 5, "f"))
    scope = replace(work().scope, tables=tables)
    plan = plan_backup(wanted(backup_id="one"), observed(make=work(scope=scope)))
    said = "\n".join(plan.steps)
    assert plan.result["tables"] == 5
    assert plan.result["holds"] == "2 tables, 1 partitioned table, 1 foreign table and 1 materialized view"
    assert "lock 2 tables and 1 partitioned table of db:5432/app against" in said
    assert "count the rows of 2 tables of up to" in said
    assert in_words([]) == "no tables"
    assert in_words(["table"]) == "1 table"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"backup_id": "b1", "hold": True}, "no backup b1 to hold"),
        ({"backup_id": "b1", "hold": False}, "no backup b1 to let go"),
        ({"backup_id": "b1"}, None),
        ({"backup_id": "b1", "kind": "pre_restore", "hold": True}, None),
        ({"max_age": "1h", "hold": True}, None),
        ({"backup_schedule": "hourly", "hold": True}, None),
    ],
)
def test_a_new_backup_is_perhaps_not_the_one_that_was_to_be_held(params: dict[str, Any], said: str | None) -> None:
    plan = plan_backup(wanted(**params), observed(make=work()))
    assert [said in text for text in plan.warnings if said] == ([True] if said else [])
    assert bool(plan.warnings) == bool(said)


def test_exclusions_that_name_nothing_are_named() -> None:
    scope = replace(work().scope, absent=("public.gone",))
    plan = plan_backup(wanted(backup_id="one"), observed(make=work(scope=scope)))
    assert "public.gone" in plan.warnings[0]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"backup_id": "one"}, ("one", "manual", True)),
        ({"backup_id": "one", "kind": "pre_migration"}, ("one", "pre_migration", True)),
        ({"max_age": "1h", "kind": "pre_deploy"}, ("pre_deploy-20261120T120000Z", "pre_deploy", False)),
        ({"backup_schedule": "daily 02:00"}, ("daily-2026-11-20", "scheduled", True)),
        ({"backup_schedule": "daily 02:00", "kind": "manual"}, ("daily-2026-11-20", "manual", True)),
        ({"backup_schedule": "daily 23:59", "max_age": "1h"}, ("daily-2026-11-20", "scheduled", True)),
    ],
)
def test_identities(params: dict[str, Any], expected: tuple[str, str, bool]) -> None:
    made = wanted(**params)
    assert (made.backup_id, made.kind, made.by_id) == expected
    assert ID.fullmatch(made.backup_id)


@pytest.mark.parametrize(
    "params",
    [
        {"backup_id": "a.b"},
        {"backup_id": "a/b"},
        {"max_age": "x"},
        {"backup_id": "a", "lock_wait_timeout": ""},
        {"backup_id": "a", "lock_wait_timeout": "30d"},
    ],
)
def test_bad_requests(params: dict[str, Any]) -> None:
    with pytest.raises(RunbookError) as caught:
        wanted(**params)
    assert caught.value.code == "invalid_parameter"


@pytest.mark.parametrize(
    ("asked", "level", "zstd", "expected", "argument18", "argument15"),
    [
        ("auto", None, True, "zstd:1", "--compress=zstd:1", None),
        ("auto", None, False, "gzip:1", "--compress=gzip:1", "--compress=1"),
        ("zstd", 9, True, "zstd:9", "--compress=zstd:9", None),
        ("gzip", 6, True, "gzip:6", "--compress=gzip:6", "--compress=6"),
        ("none", None, True, "none", "--compress=0", "--compress=0"),
    ],
)
def test_compression(
    asked: str, level: int | None, zstd: bool, expected: str, argument18: str, argument15: str | None
) -> None:
    chosen = compression(asked, level, zstd=zstd, tool="pg_dump")
    assert chosen.text == expected
    assert chosen.argument(18) == argument18
    if argument15 is not None:
        assert chosen.argument(15) == argument15


@pytest.mark.parametrize(("asked", "level", "zstd"), [("zstd", None, False), ("gzip", 10, True), ("zstd", 0, True)])
def test_compression_that_cannot_be(asked: str, level: int | None, zstd: bool) -> None:
    with pytest.raises(RunbookError) as caught:
        compression(asked, level, zstd=zstd, tool="pg_dump 15")
    assert caught.value.code == "invalid_parameter"


def test_the_same_id_is_the_same_backup() -> None:
    ours = replace(make_manifest("one"), server=make_server(), database=make_database_fact())
    check_same(ours, wanted(backup_id="one"), reached())
    with pytest.raises(RunbookError) as caught:
        check_same(ours, wanted(backup_id="one"), reached(system_identifier="other"))
    assert caught.value.code == "store_binding_mismatch"
    with pytest.raises(RunbookError, match=r"tables public\.a") as caught:
        check_same(replace(ours, selection=Selection(tables=("public.a",))), wanted(backup_id="one"), reached())
    assert caught.value.code == "invalid_parameter"


RECIPIENT = "age1ghw6xdm0jd9pe65cshmugwqq74l9hka8y5lxwuc0remz6z0ksgmqcsvvmy"


def test_what_is_encrypted_with_age_is_named_so() -> None:
    asked = wanted(backup_id="one", encryption="age", age_recipients=[RECIPIENT], include_globals=True)
    plan = plan_backup(asked, observed(make=work(pg_dumpall=work().pg_dump)))
    assert plan.result["encryption"] == "age"
    assert plan.result["age_recipients"] == [RECIPIENT]
    assert plan.result["archives"][0]["key"].endswith("/database.dump.age")
    assert plan.result["globals"]["key"].endswith("/globals.sql.age")
    assert any("encrypt all of it with age" in step for step in plan.steps)


@pytest.mark.parametrize(
    "params",
    [
        {"encryption": "age"},
        {"encryption": "age", "age_recipients": []},
        {"age_recipients": [RECIPIENT]},
        {"encryption": "sse-s3", "age_recipients": [RECIPIENT]},
        {"encryption": "age", "age_recipients": ["AGE-SECRET-KEY-1"]},
        {"age_recipients": ["AGE-SECRET-KEY-1"]},
    ],
)
def test_encryption_and_recipients_belong_together(params: dict[str, Any]) -> None:
    with pytest.raises(RunbookError) as caught:
        wanted(backup_id="one", **params)
    assert caught.value.code == "invalid_parameter"
    assert "SECRET" not in caught.value.message


AGE = {"encryption": "age", "age_recipients": ["age1abc"]}
KMS = {"store_encryption": "sse-kms", "store_kms_key_id": "alias/store"}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"encryption": "sse-kms", "kms_key_id": "alias/own"}, ("sse-kms", "alias/own")),
        ({"encryption": "sse-kms", **KMS}, ("sse-kms", "alias/store")),
        ({"kms_key_id": "alias/own", **KMS}, ("sse-kms", "alias/own")),
        ({"kms_key_id": "alias/own", **KMS, **AGE}, ("sse-kms", "alias/own")),
        ({"kms_key_id": "", **AGE}, ("none", None)),
        ({"kms_key_id": "alias/own", **AGE}, None),
        ({"kms_key_id": "alias/own", **AGE, "store_encryption": "sse-s3"}, None),
        ({"kms_key_id": "alias/own", "encryption": "sse-s3", **KMS}, None),
        ({"kms_key_id": "alias/own"}, None),
    ],
)
def test_a_key_of_kms_is_used_or_refused(params: dict[str, Any], expected: tuple[str, str | None] | None) -> None:
    """Whoever names one believes that archives are encrypted with it."""
    if expected is not None:
        made = wanted(backup_id="one", **params).encryption
        assert (made.mode, made.key_id) == expected
        return
    with pytest.raises(RunbookError, match="sse-kms") as caught:
        wanted(backup_id="one", **params)
    assert (caught.value.code, caught.value.attempted) == ("invalid_parameter", "use kms_key_id")


@pytest.mark.parametrize(
    ("existing", "warned"),
    [
        ({}, "not with age"),
        ({"age_recipients": ("age1other",)}, "other recipients"),
        ({"age_recipients": (RECIPIENT,)}, None),
    ],
)
def test_what_exists_is_not_called_what_it_is_not(existing: dict[str, Any], warned: str | None) -> None:
    asked = wanted(backup_id="one", encryption="age", age_recipients=[RECIPIENT])
    plan = plan_backup(asked, observed(make_manifest("one", **existing)))
    assert not plan.changed
    assert [warned in text for text in plan.warnings if warned] == ([True] if warned else [])
