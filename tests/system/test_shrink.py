# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database that has shrunk, and backups that are held, on real servers and stores."""

from __future__ import annotations

from typing import Any

import pytest

from harness.modules import ModuleRunner, Outcome
from harness.restores import ROOT, Shop
from harness.servers import Database, S3StoreAt

ROWS = 5000


@pytest.fixture
def shop(database: Database, s3_store: S3StoreAt, run_module: ModuleRunner) -> Shop:
    """A database with a backup."""
    database.execute(f"CREATE TABLE orders AS SELECT generate_series(1, {ROWS}) AS id")
    made = Shop(database=database, store=s3_store, run=run_module)
    made.backup("full")
    return made


def backup(shop: Shop, backup_id: str, *, check: bool = False, diff: bool = False, **options: Any) -> Outcome:
    args = {**shop.store.args, **shop.database.args, "environment": "production", "name": "main"}
    return shop.run("postgres_backup", {**args, "backup_id": backup_id, **options}, check=check, diff=diff)


def newest(shop: Shop) -> str:
    return str(shop.restore(check=True).ok()["restore"]["backup"]["id"])


def test_a_database_that_was_emptied_fails_until_that_is_accepted(shop: Shop) -> None:
    shop.database.execute("TRUNCATE orders")
    refused = backup(shop, "empty").refused("backup_shrunk")
    for part in ("0 rows", str(ROWS), "backup empty", "backup full", "accept_shrink"):
        assert part in refused.message
    assert shop.manifest("empty")["state"] == "suspect"
    assert any(key.endswith(".suspect") for key in shop.store.keys(f"{ROOT}/index/"))
    states = {each["id"]: each["state"] for each in shop.info()["backups"]["candidates"]}
    assert states == {"full": "complete", "empty": "suspect"}
    assert newest(shop) == "full"
    # Nor is it what protects the good one: that stays the newest, which is not deleted just so.
    absent = {"state": "absent", "backup_id": "full", "environment": "production", "name": "main", **shop.store.args}
    shop.run("postgres_backup", absent).refused("backup_protected")

    # The same again, without another dump, in check mode too.
    before = shop.store.keys(f"{ROOT}/backups/")
    backup(shop, "empty").refused("backup_shrunk")
    backup(shop, "empty", check=True).refused("backup_shrunk")
    assert shop.store.keys(f"{ROOT}/backups/") == before

    predicted = backup(shop, "empty", check=True, diff=True, accept_shrink=True).ok()
    accepted = backup(shop, "empty", diff=True, accept_shrink=True).ok()
    assert predicted.changed
    assert accepted.changed
    assert accepted["diff"] == predicted["diff"]
    assert accepted["backup"]["state"] == "complete"
    assert not backup(shop, "empty", accept_shrink=True).ok().changed
    assert not backup(shop, "empty").ok().changed
    assert newest(shop) == "empty"
    # From now on this is what backups are measured by.
    assert backup(shop, "next").ok().changed


def test_a_new_backup_may_be_accepted_at_once(shop: Shop) -> None:
    shop.database.execute("DELETE FROM orders WHERE id > 10")
    assert backup(shop, "other", tables=["orders"]).ok().changed  # another selection, with nothing to compare
    assert backup(shop, "few", accept_shrink=True).ok()["backup"]["state"] == "complete"
    assert newest(shop) == "few"


def test_age_alone_takes_no_second_suspect_backup(shop: Shop) -> None:
    args = {**shop.store.args, "environment": "production", "name": "main"}

    def by_age(max_age: str = "1h", *, check: bool = False, **options: Any) -> Outcome:
        given = {**args, **shop.database.args, "max_age": max_age, **options}
        return shop.run("postgres_backup", given, check=check)

    shop.database.execute("TRUNCATE orders")
    first = by_age("0s").refused("backup_shrunk")["failure"]["backup"]
    shop.run("postgres_backup", {**args, "state": "absent", "backup_id": "full", "force": True}).ok()
    stored = shop.store.keys(f"{ROOT}/backups/")
    for check in (True, False):
        again = by_age(check=check).refused("backup_shrunk")
        assert again["failure"]["backup"] == first
        assert "another backup_id" in again.message
    assert shop.store.keys(f"{ROOT}/backups/") == stored
    # An id of its own is a backup of its own; accepting makes the one that is there count.
    accepted = by_age(accept_shrink=True).ok()
    assert (accepted["backup"]["id"], accepted["backup"]["state"]) == (first, "complete")
    assert not by_age().ok().changed


def test_hold_is_changed_once_and_protects(shop: Shop) -> None:
    backup(shop, "newer").ok()
    absent = {"state": "absent", "backup_id": "full", "environment": "production", "name": "main", **shop.store.args}

    predicted = backup(shop, "full", hold=True, hold_reason="audit", check=True, diff=True).ok()
    held = backup(shop, "full", hold=True, hold_reason="audit", diff=True).ok()
    assert predicted.changed
    assert held.changed
    assert held["diff"] == predicted["diff"]
    assert (held["backup"]["held"], held["backup"]["hold_reason"]) == (True, "audit")
    assert not backup(shop, "full", hold=True, hold_reason="audit").ok().changed
    assert not backup(shop, "full").ok().changed
    refused = shop.run("postgres_backup", {**absent, "force": True}).refused("backup_protected")
    assert "audit" in refused.message

    assert backup(shop, "full", hold=False).ok().changed
    assert not backup(shop, "full", hold=False).ok().changed
    assert shop.run("postgres_backup", absent).ok().changed


def test_a_new_backup_is_held_from_the_beginning_also_a_suspect_one(shop: Shop) -> None:
    shop.database.execute("TRUNCATE orders")
    backup(shop, "evidence", hold=True, hold_reason="what the incident left").refused("backup_shrunk")
    (held,) = [each for each in shop.info()["backups"]["candidates"] if each["held"]]
    assert (held["id"], held["state"]) == ("evidence", "suspect")
