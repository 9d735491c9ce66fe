# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verifying backups without a server: damage is found and named, and what is damaged never counts again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.modules import ModuleRunner, Outcome
from harness.restores import ENVIRONMENT, NAME, ROOT, Shop, copied, nothing_new
from harness.servers import fresh_database, fresh_file_store

if TYPE_CHECKING:
    from sandbox import PostgresServer

LEVELS = ("checksum", "archive")
BACKUPS = ("older", "zstd", "none", "gzip")


@pytest.fixture(scope="module")
def backed_up(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A database of a few tables with one backup for each way of compressing, and roles in the last."""
    directory = tmp_path_factory.mktemp("backed_up")
    with fresh_database(postgres, "verify") as database:
        database.execute(
            "CREATE TABLE line (id int PRIMARY KEY, text text); "
            "INSERT INTO line SELECT n, md5(n::text) FROM generate_series(1, 20000) n; CREATE TABLE empty (id int)"
        )
        shop = Shop(
            database=database, store=fresh_file_store(directory / "store"), run=ModuleRunner(directory / "home")
        )
        for backup_id in BACKUPS:
            compression = "zstd" if backup_id == "older" else backup_id
            shop.backup(backup_id, compression=compression, include_globals=backup_id == "gzip")
        yield shop


@pytest.fixture
def shop(backed_up: Shop, tmp_path: Path, run_module: ModuleRunner) -> Shop:
    """The same, with a store to damage."""
    return copied(backed_up, tmp_path / "store", run_module)


def verify(shop: Shop, *, check: bool = False, **changes: Any) -> Outcome:
    given = {**shop.store.args, "environment": ENVIRONMENT, "name": NAME, "backup": "latest", "lock_lease": "5s"}
    given["bindir"] = [str(shop.database.server.bindir)]
    return shop.run("postgres_backup_verify", {**given, **changes}, check=check)


def flip(shop: Shop, key: str, at: float) -> bytes:
    """Turn one bit around; returns what was there."""
    whole = shop.store.read(key)
    place = int((len(whole) - 1) * at)
    shop.store.write(key, whole[:place] + bytes((whole[place] ^ 0x10,)) + whole[place + 1 :])
    return whole


def suspicions(shop: Shop) -> list[str]:
    """The documents that call a backup suspect, or take that back."""
    return [key for key in shop.store.keys(f"{ROOT}/backups/") if "/suspicion/" in key]


@pytest.mark.parametrize("level", LEVELS)
def test_a_whole_backup_is_verified_once(shop: Shop, level: str) -> None:
    before = shop.store.keys()
    predicted = verify(shop, level=level, check=True).ok()
    assert predicted.changed
    assert shop.store.keys() == before
    with nothing_new(shop):
        done = verify(shop, level=level).ok()
    seen = done["verification"]
    assert done.changed
    assert seen.keys() == predicted["verification"].keys()
    assert (seen["backup"]["id"], seen["backup"]["state"], seen["objects"]) == ("gzip", "complete", 2)
    assert seen["tables"] == (2 if level == "archive" else None)
    again = verify(shop, level=level).ok()
    assert not again.changed
    assert again["verification"] == {**seen, "backup": again["verification"]["backup"]}
    assert not verify(shop, level=level, check=True).changed
    assert verify(shop, level=level, max_age="0s").ok().changed


def test_what_makes_another_verification_needless(shop: Shop) -> None:
    assert verify(shop, backup="none", level="archive").ok().changed
    assert not verify(shop, backup="none", level="checksum").ok().changed
    assert not verify(shop, level="checksum", max_age_of="database").ok().changed
    assert verify(shop, backup="none", verify_id="monday").ok().changed
    assert not verify(shop, backup="none", verify_id="monday", max_age="0s").ok().changed
    assert verify(shop, backup="zstd", level="checksum").ok().changed


@pytest.mark.parametrize(
    ("level", "backup_id", "at"),
    [
        ("checksum", "zstd", 0.2),
        ("archive", "zstd", 0.9),
        ("archive", "none", 0.5),
        ("checksum", "gzip", 1.0),
        ("archive", "none", 0),
    ],
)
def test_one_flipped_bit_makes_a_backup_suspect(shop: Shop, level: str, backup_id: str, at: float) -> None:
    key = shop.archive(backup_id)
    whole = flip(shop, key, at)
    assert not verify(shop, backup=backup_id, level=level, check=True).failed
    refused = verify(shop, backup=backup_id, level=level).refused("object_corrupt")
    assert key in refused.message
    assert f"Backup {backup_id} is called suspect" in refused.message
    assert refused["verification"]["called_suspect"] in refused.message
    states = {each["id"]: each["state"] for each in shop.info()["backups"]["candidates"]}
    assert states[backup_id] == "suspect"
    assert (shop.info()["backups"]["latest"]["id"] == "gzip") == (backup_id != "gzip")
    # It says the same again, and records nothing more.
    keys = suspicions(shop)
    verify(shop, backup=backup_id, level=level).refused("object_corrupt")
    assert suspicions(shop) == keys
    # What was repaired counts again, once it was looked at.
    shop.store.write(key, whole)
    cleared = verify(shop, backup=backup_id, level=level).ok()["verification"]
    assert cleared["suspicion_cleared"]
    assert cleared["backup"]["state"] == "complete"
    assert shop.info()["backups"]["latest"]["id"] == "gzip"


@pytest.mark.parametrize("level", LEVELS)
def test_damage_after_a_verification_is_found_by_the_next(shop: Shop, level: str) -> None:
    verify(shop, level=level).ok()
    flip(shop, shop.archive("gzip"), 0.5)
    verify(shop, level=level, max_age="0s").refused("object_corrupt")
    # And the verification before it does not excuse it.
    verify(shop, backup="gzip", level=level).refused("object_corrupt")
    assert verify(shop, level=level).ok()["verification"]["backup"]["id"] == "none"


def test_what_can_be_seen_at_a_glance_is_seen_in_check_mode(shop: Shop) -> None:
    key = shop.archive("zstd")
    shop.store.remove(key)
    before = shop.store.keys()
    assert key in verify(shop, backup="zstd", check=True).refused("object_missing").message
    assert shop.store.keys() == before
    assert key in verify(shop, backup="zstd").refused("object_missing").message
    shop.store.write(shop.archive("none"), shop.store.read(shop.archive("none"))[:-1])
    verify(shop, backup="none", level="archive").refused("object_corrupt")


def test_the_roles_are_a_part_of_it(shop: Shop) -> None:
    key = shop.manifest("gzip")["globals"]["key"]
    flip(shop, key, 0.5)
    assert key in verify(shop).refused("object_corrupt").message


def test_an_archive_that_never_was_one_is_found(shop: Shop) -> None:
    """The bytes are those that the manifest says; only reading them shows what they are worth."""
    key = shop.archive("none")
    body = shop.store.read(key)
    cut = body[: len(body) // 2]
    shop.store.write(key, cut)

    def edit(manifest: dict[str, Any]) -> None:
        manifest["archives"][0] |= {"bytes": len(cut), "sha256": hashlib.sha256(cut).hexdigest()}

    shop.edit_manifest(edit, "none")
    verify(shop, backup="none", level="checksum").ok()
    refused = verify(shop, backup="none", level="archive").refused("object_corrupt")
    assert "pg_restore" in refused.message
    # Who looks less closely finds it whole again, and takes nothing back.
    weaker = verify(shop, backup="none", level="checksum").ok()["verification"]
    assert not weaker["suspicion_cleared"]
    assert weaker["backup"]["state"] == "suspect"
    assert {each["id"]: each["state"] for each in shop.info()["backups"]["candidates"]}["none"] == "suspect"


def test_rows_that_the_manifest_promises_must_be_there(shop: Shop) -> None:
    def edit(manifest: dict[str, Any]) -> None:
        manifest["tables"].append({**manifest["tables"][0], "name": "gone"})

    shop.edit_manifest(edit, "none")
    assert "public.gone" in verify(shop, backup="none", level="archive").refused("object_corrupt").message


def test_a_backup_that_is_deleted_meanwhile_is_not_damaged(shop: Shop) -> None:
    """Only the manifest is there when it begins, as while it is being deleted; nothing is called suspect."""
    verify(shop, backup="absent").refused("backup_not_found")
    shop.run(
        "postgres_backup",
        {
            **shop.store.args,
            "environment": ENVIRONMENT,
            "name": NAME,
            "backup_id": "older",
            "state": "absent",
            **shop.database.args,
        },
    ).ok()
    verify(shop, backup="older").refused("backup_not_found")


def test_a_missing_tool_says_nothing_about_the_backup(shop: Shop, tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "pg_restore"
    fake.parent.mkdir()
    fake.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "pg_restore (PostgreSQL) 18.9" && exit 0\n'
        "cat > /dev/null\necho 'pg_restore: error: this build does not support compression with zstd' >&2\nexit 1\n"
    )
    fake.chmod(0o755)
    refused = verify(shop, backup="zstd", level="archive", bindir=[str(fake.parent)]).refused("tool_failed")
    assert refused["verification"]["called_suspect"] is None
    assert not suspicions(shop)


def test_the_pace_is_that_of_the_store(shop: Shop) -> None:
    """Only that the measurement is one; how fast it is beside a plain download, ``bench`` tells."""
    began = time.monotonic()
    seen = verify(shop).ok()["verification"]
    assert 0 < seen["seconds"] < time.monotonic() - began
    assert seen["bytes_per_second"] == int(seen["bytes"] / seen["seconds"])
