# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups that are encrypted with age: nobody but an identity reads them, and with one they are backups like any."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyrage
import pytest

from harness.age import KeyPair, key_pair
from harness.children import until
from harness.modules import ModuleRunner, Outcome
from harness.restores import ENVIRONMENT, NAME, ROOT, Shop, copied, nothing_new
from harness.servers import S3StoreAt, fresh_database, fresh_file_store
from sandbox.faults import Fault, FaultProxy

if TYPE_CHECKING:
    from sandbox import PostgresServer, S3Server

#: Two tables that are big enough for archives of their own, and a role that the roles of the server name.
SCRIPT = """
CREATE ROLE age_reader NOLOGIN;
CREATE TABLE one AS SELECT n AS id, repeat(md5(n::text), 5) AS body FROM generate_series(1, 20000) n;
CREATE TABLE two AS SELECT * FROM one;
ALTER TABLE one ADD PRIMARY KEY (id);
CREATE TABLE small (id int PRIMARY KEY REFERENCES one, text text);
INSERT INTO small VALUES (1, 'a secret of somebody'), (2, 'another');
GRANT SELECT ON one TO age_reader;
"""
PARALLEL = {"jobs": 2, "jobs_min_table_bytes": 1 << 20}
#: One of a single archive, and one of several with the server's roles.
SINGLE, SEVERAL = "single", "several"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """A shop whose backups are encrypted to two recipients, of whom either reads them; a stranger does not."""

    shop: Shop
    first: KeyPair
    second: KeyPair
    stranger: KeyPair

    @property
    def sealing(self) -> dict[str, Any]:
        return {"encryption": "age", "age_recipients": [self.first.recipient, self.second.recipient]}

    @property
    def key(self) -> dict[str, Any]:
        return {"age_identity_file": str(self.first.path)}

    def verify(self, backup: str = SINGLE, *, check: bool = False, **changes: Any) -> Outcome:
        given = {**self.shop.store.args, "environment": ENVIRONMENT, "name": NAME, "backup": backup}
        given |= {"bindir": [str(self.shop.database.server.bindir)], "lock_lease": "5s", "max_age": "0s"}
        return self.shop.run("postgres_backup_verify", {**given, **changes}, check=check)

    def archives(self, backup: str = SINGLE) -> list[str]:
        return [each["key"] for each in self.shop.manifest(backup)["archives"]]


@pytest.fixture(scope="module")
def made(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    directory = tmp_path_factory.mktemp("age")
    with fresh_database(postgres, "age") as database:
        database.execute(SCRIPT)
        run = ModuleRunner(directory / "home")
        shop = Shop(database=database, store=fresh_file_store(directory / "store"), run=run)
        first, second, stranger = (key_pair(directory / name) for name in ("first", "second", "stranger"))
        vault = Vault(shop=shop, first=first, second=second, stranger=stranger)
        shop.backup(SINGLE, **vault.sealing)
        shop.backup(SEVERAL, include_globals=True, **PARALLEL, **vault.sealing)
        yield vault
    database.sibling("postgres").execute("DROP ROLE age_reader")


@pytest.fixture
def vault(made: Vault, tmp_path: Path, run_module: ModuleRunner) -> Vault:
    """The same, with a store to damage."""
    return replace(made, shop=copied(made.shop, tmp_path / "store", run_module))


def contents(vault: Vault, *, restored: bool = True) -> tuple[Any, ...]:
    database = vault.shop.restored if restored else vault.shop.database
    (row,) = database.rows(
        "SELECT (SELECT md5(string_agg(body, '' ORDER BY id)) FROM one), (SELECT count(*) FROM two),"
        " (SELECT string_agg(text, ',' ORDER BY id) FROM small), (SELECT count(*) FROM pg_constraint),"
        " (SELECT has_table_privilege('age_reader', 'one', 'SELECT'))"
    )
    return tuple(row)


# what lies in the store


def test_everything_with_rows_or_roles_is_encrypted_and_an_archive_underneath(vault: Vault) -> None:
    shop, identity = vault.shop, pyrage.x25519.Identity.from_str(vault.second.secret)
    manifest = shop.manifest(SEVERAL)
    assert (manifest["encryption"], manifest["schema"], len(manifest["archives"])) == ("age", 2, 4)
    assert manifest["age_recipients"] == sorted(vault.sealing["age_recipients"])
    keys = [key for key in shop.store.keys(f"{ROOT}/backups/") if not key.endswith("manifest.json")]
    assert keys
    for key in keys:
        stored = shop.store.read(key)
        assert key.endswith(".age")
        assert stored.startswith(b"age-encryption.org/v1\n")
        before = pyrage.decrypt(stored, [identity])
        assert before.startswith(b"PGDMP") or b"CREATE ROLE age_reader" in before
        assert before[:200] not in stored
        if before.startswith(b"PGDMP"):
            subprocess.run(
                [shop.database.server.bindir / "pg_restore", "--list"], input=before, check=True, capture_output=True
            )
    # What could confirm a guess at rows is not in the manifest, which everybody reads.
    assert all(not segment["sha256"] for each in manifest["archives"] for segment in each["segments"])
    assert all(each["segments"] for each in manifest["archives"])


def test_a_second_run_does_nothing_and_other_recipients_write_nothing_again(vault: Vault) -> None:
    shop = vault.shop
    keys = shop.store.keys()
    again = shop.backup(SINGLE, **vault.sealing)
    assert not again.changed
    assert not again.get("warnings")
    for sealing, words in (
        ({**vault.sealing, "age_recipients": [vault.stranger.recipient]}, "other recipients"),
        ({}, None),
    ):
        other = shop.backup(SINGLE, **sealing)
        assert not other.changed
        assert other["backup"]["encryption"] == "age"
        assert words is None or words in str(other["warnings"])
    assert shop.store.keys() == keys


def test_check_mode_tells_it_and_refuses_what_cannot_be_encrypted_to(vault: Vault) -> None:
    shop = vault.shop
    keys = shop.store.keys()
    common = {**shop.store.args, **shop.database.args, "environment": ENVIRONMENT, "name": NAME, "backup_id": "new"}
    predicted = shop.run("postgres_backup", {**common, **vault.sealing}, check=True).ok()
    assert predicted["backup"]["archives"][0]["key"].endswith("database.dump.age")
    assert "encrypt all of it with age" in "".join(predicted["plan"]["steps"])
    for recipient in ("age1nobody", "ssh-ed25519 AAAA", vault.first.secret):
        refused = shop.run("postgres_backup", {**common, "encryption": "age", "age_recipients": [recipient]})
        assert vault.first.secret not in refused.refused("invalid_parameter").message
    assert shop.store.keys() == keys


# restores


@pytest.mark.parametrize(("backup", "jobs"), [(SINGLE, 1), (SINGLE, 3), (SEVERAL, 2)])
def test_it_comes_back_by_any_number_of_sessions(vault: Vault, backup: str, jobs: int) -> None:
    restored = vault.shop.restore(backup=backup, jobs=jobs, age_identity=vault.second.secret).ok()
    assert restored["restore"]["rows_compared"] == 40_002
    assert contents(vault) == contents(vault, restored=False)
    assert vault.second.secret not in restored.everything


def test_single_tables_come_back(vault: Vault) -> None:
    options = {"strategy": "tables", "tables": ["small"], "restore_id": "t1", "backup": SEVERAL, **vault.key}
    vault.shop.restore(**options).ok()
    assert vault.shop.restored.value("SELECT text FROM small WHERE id = 1") == "a secret of somebody"


def test_it_is_swapped_in(vault: Vault) -> None:
    database = vault.shop.database
    database.execute("INSERT INTO small VALUES (3, 'later')")
    swap = {"strategy": "swap", "restore_id": "s1", "target_database": database.name, **vault.key}
    assert vault.shop.restore(**swap).ok().changed
    assert database.value("SELECT count(*) FROM small") == 2
    assert not vault.shop.restore(**{**swap, "age_identity_file": "/nonexistent"}).ok().changed


def test_it_is_restored_in_place_and_the_way_back_is_encrypted_too(vault: Vault) -> None:
    shop = vault.shop
    shop.database.execute("INSERT INTO small VALUES (3, 'later')")
    login = {"database": shop.database.name, "target_database": None}
    options = {"strategy": "in_place", "restore_id": "p1", "jobs": 1, **login}
    sealed = {"age_recipients": vault.sealing["age_recipients"]}
    nobody = {"age_recipients": [vault.sealing["age_recipients"][0][:-1]]}
    # What the backup that is taken first lacks is known before anything is read, in check mode too. And what stands in
    # the manifest could be somebody else's who can write to the store.
    for check in (True, False):
        shop.restore(check=check, **options, **sealed).refused("age_identity_missing")
        shop.restore(check=check, **options, **vault.key, **nobody).refused("invalid_parameter")
        assert "age_recipients" in shop.restore(check=check, **options, **vault.key).refused("invalid_parameter")["msg"]
    assert shop.database.value("SELECT count(*) FROM small") == 3
    done = shop.restore(**options, **vault.key, **sealed).ok()
    assert shop.database.value("SELECT count(*) FROM small") == 2
    before = shop.manifest(done["restore"]["pre_restore_backup"])
    assert before["age_recipients"] == sorted(vault.sealing["age_recipients"])


# identities


@pytest.mark.parametrize("identity", ["none", "of somebody else", "not there", "readable by others", "no identity"])
def test_without_the_right_identity_nothing_is_made(vault: Vault, identity: str, tmp_path: Path) -> None:
    given, code = {}, "age_identity_missing"
    if identity != "none":
        path, code = vault.stranger.path, "age_identity_unusable"
        if identity == "of somebody else":
            code = "age_identity_wrong"
        else:
            path = tmp_path / "identity"
        if identity == "readable by others":
            path.write_text(vault.first.secret)
            path.chmod(0o644)
        if identity == "no identity":
            path.write_text("# nothing")
            path.chmod(0o600)
        given = {"age_identity_file": str(path)}
    for check in (True, False):
        with nothing_new(vault.shop):
            refused = vault.shop.restore(backup=SINGLE, check=check, **given).refused(code)
        assert vault.first.secret not in refused.everything
    # It says nothing about the backup, which still counts.
    assert vault.verify(level="archive", **given).code == code
    assert vault.shop.info()["backups"]["latest"]["state"] == "complete"


# damage


@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("level", ["checksum", "archive"])
def test_damage_is_named_and_the_backup_counts_no_more(vault: Vault, at: float, level: str) -> None:
    shop, (key,) = vault.shop, vault.archives()
    body = shop.store.read(key)
    place = 100 + int((len(body) - 101) * at)
    shop.store.write(key, body[:place] + bytes((body[place] ^ 0x10,)) + body[place + 1 :])
    with nothing_new(shop):
        refused = shop.restore(backup=SINGLE, **vault.key).refused("object_corrupt")
    assert key in refused.message
    refused = vault.verify(level=level, **({} if level == "checksum" else vault.key)).refused("object_corrupt")
    assert key in refused.message
    assert shop.info()["backups"]["latest"]["id"] == SEVERAL
    shop.store.write(key, body)
    assert vault.verify(level="archive", **vault.key).ok()["verification"]["suspicion_cleared"]


@pytest.mark.parametrize("how", ["cut off", "exchanged"])
def test_what_is_not_what_was_written_is_named(vault: Vault, how: str) -> None:
    shop, keys = vault.shop, vault.archives(SEVERAL)
    body = shop.store.read(keys[-1])
    shop.store.write(keys[-1], body[:-1000] if how == "cut off" else shop.store.read(keys[-2]))
    with nothing_new(shop):
        assert keys[-1] in shop.restore(backup=SEVERAL, **vault.key).refused("object_corrupt").message


def border_moved(archive: dict[str, Any]) -> None:
    one, last = archive["segments"][-2:]
    one["bytes"], last["offset"], last["bytes"] = one["bytes"] + 1, last["offset"] + 1, last["bytes"] - 1


def rows_exchanged(archive: dict[str, Any]) -> None:
    one, last = archive["segments"][-2:]
    one["entries"], last["entries"] = last["entries"], one["entries"]


def size_negative(archive: dict[str, Any]) -> None:
    head = archive["segments"][0]
    archive["segments"].insert(1, {**head, "offset": head["bytes"], "bytes": -5})
    archive["segments"].insert(2, {**head, "offset": head["bytes"] - 5, "bytes": 5})


def beyond_the_archive(archive: dict[str, Any]) -> None:
    archive["segments"][-1]["bytes"] += 1 << 20


@pytest.mark.parametrize("edit", [border_moved, rows_exchanged, size_negative, beyond_the_archive])
def test_segments_that_were_edited_are_said_to_be_damage(vault: Vault, edit: Callable[[dict[str, Any]], None]) -> None:
    """The object decrypts, and its manifest does not say where its rows lie: neither pg_restore nor we are to blame."""
    shop = vault.shop
    shop.edit_manifest(lambda manifest: edit(manifest["archives"][0]), SINGLE)
    with nothing_new(shop):
        refused = shop.restore(backup=SINGLE, jobs=3, **vault.key).refused("object_corrupt")
        seen = vault.verify(level="archive", **vault.key).refused("object_corrupt")
    for each in (refused, seen):
        assert f"backups/{SINGLE}/" in each["failure"]["object"]
        assert "another backup" in each["failure"]["remedy"]


# drills


def test_checksums_need_no_identity_and_all_else_decrypts(vault: Vault) -> None:
    assert vault.verify(level="checksum").ok()["verification"]["decrypted"] is False
    seen = vault.verify(SEVERAL, level="archive", **vault.key).ok()["verification"]
    assert (seen["decrypted"], seen["tables"], seen["objects"]) == (True, 3, 5)


def test_a_drill_that_decrypted_it_is_on_record(vault: Vault) -> None:
    server = {"drill_server_url": vault.shop.database.server.url("postgres"), "allow_live_server": True}
    with nothing_new(vault.shop):
        vault.verify(SEVERAL, level="restore", **server).refused("age_identity_missing")
        seen = vault.verify(SEVERAL, level="restore", **server, **vault.key).ok()["verification"]
    assert (seen["proven"], seen["decrypted"]) == (True, True)
    proof = json.loads(vault.shop.store.read(f"{ROOT}/backups/{SEVERAL}/proven.json"))
    assert proof["decrypted"] is True
    assert proof["age_recipients"] == sorted(vault.sealing["age_recipients"])
    # That holds for whatever is encrypted to nobody else; of the rest nobody knows whether it can be read.
    shop, due = vault.shop, {"level": "restore", "max_age": "35d", "max_age_of": "database", **server, **vault.key}
    asked = {**shop.store.args, "environment": ENVIRONMENT, "name": NAME, "drill_max_age": "35d"}
    for backup_id, sealing, overdue in (
        ("same", vault.sealing, False),
        ("clear", {}, False),
        ("other", {**vault.sealing, "age_recipients": [vault.first.recipient, vault.stranger.recipient]}, True),
    ):
        shop.backup(backup_id, **sealing)
        status = shop.run("runbook_status_info", asked).ok()["status"]
        assert (status["past_drill_age"], status["newest_drill"]["like_newest"]) == (overdue, not overdue)
        assert vault.verify("latest", check=True, **due).ok().changed is overdue


# a run that dies


def test_kill_9_in_the_middle_leaves_nothing_that_counts(
    vault: Vault, s3: S3Server, s3_store: S3StoreAt, run_module: ModuleRunner
) -> None:
    shop = replace(vault.shop, store=s3_store)
    args = {**s3_store.args, **shop.database.args, "environment": ENVIRONMENT, "name": NAME, "backup_id": "k"}
    args |= {"lock_lease": "5s", **vault.sealing}
    with FaultProxy(s3.endpoint_url) as proxy:
        slow = Fault(action="s3:PutObject", path=r"\.dump\.age", rate=100_000)
        proxy.rules.append(slow)
        child = run_module.start("postgres_backup", {**args, "endpoint_url": proxy.endpoint_url})
        until(lambda: slow.seen)
        child.kill(signal.SIGKILL)
        child.wait()
    assert not [key for key in s3_store.keys(ROOT) if key.endswith("manifest.json") or "/index/" in key]
    again = until(lambda: retried(run_module, args))
    assert again.changed
    shop.restore(backup="k", jobs=2, **vault.key).ok()
    assert contents(replace(vault, shop=shop)) == contents(vault, restored=False)


def retried(run_module: ModuleRunner, args: dict[str, Any]) -> Outcome | None:
    """The outcome; None while the lock is held."""
    outcome = run_module("postgres_backup", args)
    return None if outcome.code == "lock_held" else outcome.ok()
