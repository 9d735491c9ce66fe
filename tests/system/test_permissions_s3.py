# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The IAM policies of ``docs/permissions.md`` are what the runbooks need: every action, and none besides.

A proxy in front of the store plays IAM: it refuses what a runbook's policy does not allow, and notes what was asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_errors import ACTIONS

from harness.modules import ModuleRunner, Outcome
from harness.paths import CHECKOUT
from harness.playbooks import PlaybookRunner
from harness.servers import Database, S3StoreAt, fresh_database, fresh_s3_store
from sandbox.faults import Fault, FaultProxy, deny

if TYPE_CHECKING:
    from sandbox import PostgresServer, S3Server

DOCUMENT = (CHECKOUT / "docs" / "permissions.md").read_text(encoding="utf-8")
BUCKET = "arn:aws:s3:::acme-runbooks-production"
#: Granted on the bucket; all others on the objects in it (service authorization reference of Amazon S3).
ON_BUCKET = {
    *("s3:ListBucket", "s3:ListBucketMultipartUploads"),
    *("s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration"),
}


def policies() -> dict[str, dict[str, Any]]:
    """Runbook to its policy: the JSON below each third-level heading."""
    sections = re.split(r"^#+ (.*)\n", DOCUMENT, flags=re.MULTILINE)
    found = {name: re.search(r"^```json\n(.*?)^```", body, re.MULTILINE | re.DOTALL) for name, body in _pairs(sections)}
    return {name: json.loads(block[1]) for name, block in found.items() if block}


def _pairs(sections: list[str]) -> Iterator[tuple[str, str]]:
    return zip(sections[1::2], sections[2::2], strict=True)


def allowed(runbook: str) -> set[str]:
    """The actions that a runbook's policy allows."""
    return {action for statement in policies()[runbook]["Statement"] for action in statement["Action"]}


def asked(proxy: FaultProxy) -> set[str]:
    """The actions that were needed for what came by and was let through."""
    names = {each.action.removeprefix("s3:") for each in proxy.requests if each.status != 403}
    return {ACTIONS[name] for name in names}


@contextmanager
def guarded(store: S3StoreAt, runbook: str) -> Iterator[FaultProxy]:
    """A proxy that lets through what the policy of a runbook allows."""
    with FaultProxy(store.server.endpoint_url) as proxy:
        proxy.rules += [deny(f"s3:{name}") for name, action in ACTIONS.items() if action not in allowed(runbook)]
        yield proxy


@pytest.fixture(scope="module")
def shop(postgres: PostgresServer) -> Iterator[Database]:
    """A database whose dump takes several parts."""
    with fresh_database(postgres, "permissions") as database:
        database.execute(
            "CREATE EXTENSION pgcrypto; CREATE TABLE noise AS"
            " SELECT n AS id, gen_random_bytes(1000) AS body FROM generate_series(1, 20000) n"
        )
        yield database


@pytest.fixture(scope="module")
def stored(s3: S3Server, shop: Database, tmp_path_factory: pytest.TempPathFactory) -> S3StoreAt:
    """A store with a backup of it, to be read."""
    store = fresh_s3_store(s3, s3.bucket)
    ModuleRunner(tmp_path_factory.mktemp("home"))("postgres_backup", backup_of(shop, store)).ok()
    return store


def common(store: S3StoreAt, **options: Any) -> dict[str, Any]:
    return {**store.args, "environment": "test", "name": "main", **options}


def backup_of(database: Database, store: S3StoreAt, **options: Any) -> dict[str, Any]:
    return common(store, **database.args, backup_id="one", compression="none", lock_lease="5s", **options)


def restore_of(database: Database, store: S3StoreAt, **options: Any) -> dict[str, Any]:
    login = {key: value for key, value in database.args.items() if key != "database"}
    return common(store, **login, backup="one", target_database=f"{database.name}_r", lock_lease="5s", **options)


def test_a_policy_is_one_that_aws_takes() -> None:
    assert set(policies()) >= {"status", "preflight", "backup", "restore", "drill", "retention"}
    for name, policy in policies().items():
        assert policy["Version"] == "2012-10-17"
        for statement in policy["Statement"]:
            assert set(statement) == {"Effect", "Action", "Resource"}, name
            assert statement["Effect"] == "Allow"
            if not all(action.startswith("s3:") for action in statement["Action"]):
                # Of other services than S3: the tests of what asks them compare them with what was asked for.
                continue
            on_bucket = set(statement["Action"]) <= ON_BUCKET
            assert on_bucket or not ON_BUCKET & set(statement["Action"])
            assert statement["Resource"] == (BUCKET if on_bucket else f"{BUCKET}/*")
    assert "s3:DeleteObject" not in allowed("backup") | allowed("restore")


def inventory(shop: Database, store: S3StoreAt, proxy: FaultProxy) -> dict[str, Any]:
    settings = {f"runbooks_store_{name}": value for name, value in store.options.items()}
    variables = {"runbooks_environment": "test", "runbooks_store": store.url, **settings}
    variables |= {
        "runbooks_store_endpoint_url": proxy.endpoint_url,
        "runbooks_postgres_bindir": [str(shop.server.bindir)],
    }
    hosts = {"main": {"database_url": shop.url, "backup_exclude_table_data": ["public.noise"]}}
    return {"all": {"vars": variables, "children": {"databases": {"hosts": hosts}}}}


def test_each_runbook_needs_its_policy_and_no_more(
    shop: Database, s3_store: S3StoreAt, run_playbook: PlaybookRunner, run_module: ModuleRunner
) -> None:
    """In the order of a first day. Nothing is refused on the way, and nothing is allowed in vain."""
    inputs = {"backup": "latest", "target_database": f"{shop.name}_restored"}
    needed: dict[str, set[str]] = {}
    first_day: tuple[tuple[str, dict[str, str]], ...] = (
        ("backup", {}),
        ("restore", inputs),
        ("preflight", {}),
        ("drill", {}),
        ("status", {}),
    )
    for runbook, given in first_day:
        with guarded(s3_store, runbook) as proxy:
            played = run_playbook(
                f"ops.runbooks.{runbook}", inventory=inventory(shop, s3_store, proxy), extra_vars=given
            )
            needed[runbook] = needed.get(runbook, set()) | asked(proxy)
        assert played.ok().recap["main"]["failed"] == 0
    with guarded(s3_store, "backup") as proxy:
        proxy.rules.append(Fault(action="s3:UploadPart", skip=1, status=507, code="InsufficientStorage"))
        failed = run_module("postgres_backup", backup_of(shop, s3_store, endpoint_url=proxy.endpoint_url))
        needed["backup"] |= asked(proxy)
    failed.refused("store_full")
    assert s3_store.unfinished() == [], "what a failed backup had sent is dropped"
    assert needed == {runbook: allowed(runbook) for runbook in needed}


def test_a_restore_in_place_needs_the_policy_of_backup(
    shop: Database, stored: S3StoreAt, run_module: ModuleRunner
) -> None:
    given = {"strategy": "in_place", "restore_id": "inplace", "target_database": shop.name, "database": shop.name}
    with guarded(stored, "backup") as proxy:
        options = {**restore_of(shop, stored, endpoint_url=proxy.endpoint_url), **given}
        assert run_module("postgres_restore", options).ok()["restore"]["rows_compared"] == 20000
        assert asked(proxy) <= allowed("backup")


#: What only cleans up: a backup without it says so, and goes on.
TIDYING = {"s3:AbortMultipartUpload", "s3:ListBucketMultipartUploads"}


@pytest.mark.parametrize("action", sorted(allowed("backup")))
def test_what_a_backup_is_denied_is_named(
    shop: Database, s3_store: S3StoreAt, run_module: ModuleRunner, action: str
) -> None:
    with FaultProxy(s3_store.server.endpoint_url) as proxy:
        proxy.rules += [deny(f"s3:{name}") for name, needs in ACTIONS.items() if needs == action]
        proxy.rules.append(Fault(action="s3:UploadPart", skip=1, status=507, code="InsufficientStorage"))
        outcome = run_module("postgres_backup", backup_of(shop, s3_store, endpoint_url=proxy.endpoint_url))
    if action in TIDYING:
        outcome.refused("store_full")
        assert f"{action} is denied" in str(outcome["warnings"])
    else:
        assert_named(outcome, action)


@pytest.mark.parametrize("action", sorted(allowed("restore")))
def test_what_a_restore_is_denied_is_named(
    shop: Database, stored: S3StoreAt, run_module: ModuleRunner, action: str
) -> None:
    with FaultProxy(stored.server.endpoint_url) as proxy:
        proxy.rules += [deny(f"s3:{name}") for name, needs in ACTIONS.items() if needs == action]
        outcome = run_module("postgres_restore", restore_of(shop, stored, endpoint_url=proxy.endpoint_url))
    assert_named(outcome, action)


def assert_named(outcome: Outcome, action: str) -> None:
    """The failure names the action that is lacking, and what to allow it on."""
    outcome.refused("store_denied")
    assert outcome["failure"]["denied_action"] == action
    assert f"Allow {action} on arn:aws:s3:::" in outcome.message
