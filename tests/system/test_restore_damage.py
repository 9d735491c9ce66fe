# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Damaged backups: each is found and named, and nothing else on the server changes.

pg_restore itself would load most of these without a word: its archives carry no checksum.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.modules import ModuleRunner
from harness.restores import ROOT, Shop, copied, nothing_new
from harness.servers import S3StoreAt, fresh_database, fresh_file_store, fresh_s3_store
from sandbox import pagila
from sandbox.faults import Fault, FaultProxy, deny

if TYPE_CHECKING:
    from sandbox import PostgresServer, S3Server

COMPRESSIONS = ("gzip", "none", "zstd")


@pytest.fixture(scope="module")
def backed_up(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Pagila with one backup for each way of compressing, the newest with zstd."""
    directory = tmp_path_factory.mktemp("backed_up")
    with fresh_database(postgres, "damage") as database:
        pagila.load(postgres, database.name)
        run = ModuleRunner(directory / "home")
        shop = Shop(database=database, store=fresh_file_store(directory / "store"), run=run)
        for compression in COMPRESSIONS:
            shop.backup(compression, compression=compression)
        yield shop


@pytest.fixture
def shop(backed_up: Shop, tmp_path: Path, run_module: ModuleRunner) -> Shop:
    """The same, with a store to damage."""
    return copied(backed_up, tmp_path / "store", run_module)


def flipped(at: float) -> Callable[[bytes], bytes]:
    """One bit is another one, at this part of the object."""

    def damage(body: bytes) -> bytes:
        place = int((len(body) - 1) * at)
        return body[:place] + bytes((body[place] ^ 0x10,)) + body[place + 1 :]

    return damage


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "bit in the header": lambda body: body[:6] + bytes((body[6] ^ 0x02,)) + body[7:],
    "bit at 2 %": flipped(0.02),
    "bit at 30 %": flipped(0.3),
    "bit at 60 %": flipped(0.6),
    "bit at 90 %": flipped(0.9),
    "last bit": flipped(1.0),
    "cut to 60 %": lambda body: body[: len(body) * 6 // 10],
    "one byte short": lambda body: body[:-1],
    "one byte more": lambda body: body + b"\0",
    "emptied": lambda body: b"",
    "of equal size": lambda body: body[:1000] + bytes(len(body) - 1000),
}


CASES = [("zstd", how) for how in DAMAGES] + [
    (compression, how) for compression in ("gzip", "none") for how in ("bit at 30 %", "bit at 90 %", "cut to 60 %")
]


@pytest.mark.parametrize(("compression", "how"), CASES)
def test_a_damaged_archive_is_named(shop: Shop, compression: str, how: str) -> None:
    key = shop.archive(compression)
    whole = shop.store.read(key)
    shop.store.write(key, DAMAGES[how](whole))
    with nothing_new(shop):
        refused = shop.restore(backup=compression)
    assert refused.code in ("object_corrupt", "backup_unusable"), refused.message
    assert key in refused.message
    # What was repaired can be restored by the same command.
    shop.store.write(key, whole)
    assert shop.restore(backup=compression).ok()["restore"]["rows_compared"] == pagila.ROWS
    assert set(shop.databases()) == {shop.target}


def test_a_missing_archive_is_named_before_anything_is_made(shop: Shop) -> None:
    shop.store.remove(shop.archive("zstd"))
    keys = shop.store.keys()
    with nothing_new(shop):
        refused = shop.restore().refused("object_missing")
    assert shop.store.keys() == keys
    assert "postgres_backup_info" in refused.message


@pytest.mark.parametrize("how", ["cut to 60 %", "one byte more", "bit in the header"])
def test_what_can_be_seen_beforehand_is_refused_in_check_mode(shop: Shop, how: str) -> None:
    key = shop.archive("zstd")
    shop.store.write(key, DAMAGES[how](shop.store.read(key)))
    assert shop.restore(check=True).code in ("object_corrupt", "backup_unusable")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "object_corrupt"),
        (b"{", "object_corrupt"),
        (b"[]", "object_corrupt"),
        (b'{"schema": 1}', "object_corrupt"),
        (b'{"schema": 3}', "document_too_new"),
        (b"\xff\xfe", "object_corrupt"),
    ],
)
def test_a_damaged_manifest_is_named(shop: Shop, body: bytes, code: str) -> None:
    key = f"{ROOT}/backups/zstd/manifest.json"
    shop.store.write(key, body)
    for backup in ("latest", "zstd"):
        with nothing_new(shop):
            refused = shop.restore(backup=backup).refused(code)
        assert key in refused.message


def test_a_backup_without_manifest_is_passed_over(shop: Shop) -> None:
    shop.store.remove(f"{ROOT}/backups/zstd/manifest.json")
    with nothing_new(shop):
        shop.restore(backup="zstd").refused("backup_not_found")
        older = shop.restore(check=True).ok()
    assert older["restore"]["backup"]["id"] == "none"
    assert "backup zstd, which has no manifest" in older.everything
    for compression in ("gzip", "none"):
        shop.store.remove(f"{ROOT}/backups/{compression}/manifest.json")
    refused = shop.restore().refused("backup_not_found")
    assert "3 without a manifest" in refused.message


def another_row(document: dict[str, Any]) -> None:
    next(table for table in document["tables"] if table["name"] == "actor")["rows"] += 1


def another_table(document: dict[str, Any]) -> None:
    table = next(table for table in document["tables"] if table["name"] == "actor")
    document["tables"].append({**table, "name": "no_such"})


def another_sequence_value(document: dict[str, Any]) -> None:
    sequence = next(each for each in document["sequences"] if each["name"] == "actor_actor_id_seq")
    sequence["before"], sequence["after"] = 1, 2


def another_large_object(document: dict[str, Any]) -> None:
    document["large_objects"]["count"] += 1


def another_policy(document: dict[str, Any]) -> None:
    table = next(table for table in document["tables"] if table["name"] == "actor")
    table["row_security"], table["policies"] = True, ["only_mine"]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (another_row, "actor has 200 rows instead of 201"),
        (another_table, "table public.no_such is missing"),
        (another_sequence_value, "actor_actor_id_seq stands at 200"),
        (another_large_object, "0 large objects instead of 1"),
        (another_policy, "lacks policy only_mine"),
    ],
)
def test_a_database_that_is_not_what_the_manifest_says_is_dropped(
    shop: Shop, edit: Callable[[dict[str, Any]], None], said: str
) -> None:
    shop.edit_manifest(edit, "zstd")
    with nothing_new(shop):
        refused = shop.restore().refused("restore_mismatch")
    assert said in refused.message
    assert any(said in difference for difference in refused["failure"]["differences"])


@pytest.fixture(scope="module")
def in_s3(backed_up: Shop, s3: S3Server) -> Shop:
    """A backup of the same database in S3."""
    store = fresh_s3_store(s3, s3.bucket)
    shop = replace(backed_up, store=store)
    shop.backup(compression="none")
    return shop


FAULTS: dict[str, Fault] = {
    "dropped once": Fault(action="s3:GetObject", path="dump", skip=1, times=1, cut_response=200_000),
    "dropped again and again": Fault(action="s3:GetObject", path="dump", skip=1, times=3, cut_response=500_000),
    "ended early": Fault(action="s3:GetObject", path="dump", skip=1, times=1, truncate=300_000),
    "refused once": Fault(action="s3:GetObject", path="dump", times=1, status=503),
    "an error once": Fault(action="s3:ListObjectsV2", times=1, status=500),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_store_that_stumbles_is_read_to_the_end(in_s3: Shop, run_module: ModuleRunner, fault: Fault) -> None:
    shop = replace(in_s3, run=run_module, suffix=secrets.token_hex(3))
    with FaultProxy(in_s3_server(shop).endpoint_url) as proxy:
        proxy.rules.append(replace(fault))
        done = shop.restore(endpoint_url=proxy.endpoint_url).ok()["restore"]
    assert done["rows_compared"] == pagila.ROWS


@pytest.mark.parametrize("action", ["GetObject", "ListObjectsV2"])
def test_a_store_that_denies_is_named(in_s3: Shop, run_module: ModuleRunner, action: str) -> None:
    shop = replace(in_s3, run=run_module, suffix=secrets.token_hex(3))
    with FaultProxy(in_s3_server(shop).endpoint_url) as proxy, nothing_new(shop):
        proxy.rules.append(deny(f"s3:{action}"))
        refused = shop.restore(endpoint_url=proxy.endpoint_url).refused("store_denied")
    assert "s3:" in refused.message


def test_a_store_that_goes_away_in_the_middle_is_a_failure(in_s3: Shop, run_module: ModuleRunner) -> None:
    shop = replace(in_s3, run=run_module, suffix=secrets.token_hex(3))
    with FaultProxy(in_s3_server(shop).endpoint_url) as proxy, nothing_new(shop):
        proxy.rules.append(Fault(action="s3:GetObject", path="dump", skip=1, times=1, cut_response=200_000))
        proxy.rules.append(Fault(action="s3:GetObject", path="dump", skip=1, cut_response=0))
        refused = shop.restore(endpoint_url=proxy.endpoint_url)
    assert refused.code in ("store_unreachable", "store_failed"), refused.message


def test_a_store_that_goes_away_after_the_rename_costs_no_database(in_s3: Shop, run_module: ModuleRunner) -> None:
    """Applications may be writing to it already: from its final name on, a database is nobody's to drop."""
    shop = replace(in_s3, run=run_module, suffix=secrets.token_hex(3))
    with FaultProxy(in_s3_server(shop).endpoint_url) as proxy:
        # started, loaded and finished: the third version of the restore's mark
        proxy.rules.append(Fault(method="PUT", path="/restores/.*/000000000003[.]json", status=403))
        refused = shop.restore(endpoint_url=proxy.endpoint_url).refused("store_denied")
    assert "left_behind" not in refused["failure"]
    assert set(shop.databases()) == {shop.target}
    again = shop.restore().ok()
    assert again.changed
    assert again["restore"]["rows_compared"] == pagila.ROWS
    assert not shop.restore().ok().changed


def in_s3_server(shop: Shop) -> S3Server:
    """The server that a shop's store is on."""
    assert isinstance(shop.store, S3StoreAt)
    return shop.store.server
