# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What counts of a backup: documents beside the manifest, and marks that point at them, on a store in a directory."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import compact
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
from ansible_collections.ops.runbooks.plugins.module_utils._core.store_file import FileStore
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import verdict
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups, entry_of
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest, Selection
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.sweep import sweep
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verdict import Verdict

from harness.manifests import NOON, make_context, make_manifest

WHOLE = Selection().hash


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return make_context(tmp_path)


@pytest.fixture
def backups(tmp_path: Path, context: Context) -> Backups:
    (tmp_path / "store").mkdir()
    return Backups(FileStore.at(str(tmp_path / "store"), context), "production", "main", context)


def written(backups: Backups, number: int, **changes: object) -> Manifest:
    manifest = make_manifest(f"b{number}", **{"snapshot_at": NOON + timedelta(days=number), **changes})
    assert backups.write_manifest(manifest)
    return manifest


def test_nothing_known_is_complete(backups: Backups) -> None:
    assert backups.verdict_on(written(backups, 1)) == Verdict()


def test_held_and_let_go(backups: Backups, context: Context) -> None:
    manifest = written(backups, 1)
    verdict.set_held(backups, manifest, True, "audit of 2026", context)
    assert backups.verdict_on(manifest) == Verdict(held=True, hold_reason="audit of 2026")
    verdict.set_held(backups, manifest, False, "the audit is over", context)
    assert backups.verdict_on(manifest) == Verdict()
    (only,) = backups.listed()
    assert only.marks == frozenset()


def test_a_stale_mark_is_overruled_by_its_document(backups: Backups, context: Context) -> None:
    """As where the credential that lets go may not delete."""
    manifest = written(backups, 1)
    for change in (True, False):
        verdict.set_held(backups, manifest, change, "r", context)
        verdict.set_suspicion(backups, manifest, change, "damaged", "r", context)
    for mark in ("held", "suspect"):
        backups.write_index(manifest, mark)
    assert backups.verdict_on(manifest) == Verdict()
    assert backups.latest(WHOLE) == manifest


@pytest.mark.parametrize(("mark", "counts"), [("held", "held"), ("suspect", "suspect")])
def test_a_mark_whose_writer_came_no_further_counts(backups: Backups, mark: str, counts: str) -> None:
    manifest = written(backups, 1)
    backups.write_index(manifest, mark)
    found = backups.verdict_on(manifest)
    assert found.held if counts == "held" else not found.good


def test_a_damaged_backup_counts_for_nothing_until_it_is_found_whole(backups: Backups, context: Context) -> None:
    older, newer = written(backups, 1), written(backups, 2)
    verdict.set_suspicion(backups, newer, True, "damaged", "database.dump has another SHA-256", context)
    assert backups.latest(WHOLE) == older
    found = backups.verdict_on(newer)
    assert (found.state, found.suspect_cause, found.suspect_reason) == (
        "suspect",
        "damaged",
        "database.dump has another SHA-256",
    )
    verdict.set_suspicion(backups, newer, False, "damaged", "read again, and it is whole", context)
    assert backups.latest(WHOLE) == newer


def test_a_shrunken_backup_is_suspect_by_its_manifest_alone(backups: Backups, context: Context) -> None:
    older = written(backups, 1)
    newer = written(backups, 2, state="suspect", suspect_reason="7 rows instead of 9000")
    assert backups.latest(WHOLE) == older
    assert backups.verdict_on(newer).suspect_reason == "7 rows instead of 9000"
    for key in backups.index_keys(newer):
        if key.endswith(".suspect"):
            backups.store.delete(key)
    assert backups.latest(WHOLE) == older
    verdict.set_suspicion(backups, newer, False, "shrunk", "accepted", context)
    assert backups.verdict_on(newer) == Verdict()
    assert backups.latest(WHOLE) == newer


def test_the_first_proof_stays(backups: Backups, context: Context) -> None:
    older, newer = written(backups, 1), written(backups, 2)
    assert verdict.proof(backups, older) is None
    assert verdict.set_proven(backups, older, {"rows": 1}, context)
    assert not verdict.set_proven(backups, older, {"rows": 2}, context)
    body = verdict.proof(backups, older)
    assert body is not None
    assert (body["rows"], body["backup_id"]) == (1, older.backup_id)
    assert backups.verdict_on(older).state == "proven"
    assert backups.latest(WHOLE) == newer
    assert backups.latest(WHOLE, "proven") == older
    assert backups.at(newer.snapshot_at, WHOLE, "proven") == older


def test_a_proof_is_not_inherited_by_a_backup_that_is_taken_again(backups: Backups, context: Context) -> None:
    """Of a deletion that died on its way the proof may be left."""
    first = written(backups, 1)
    verdict.set_proven(backups, first, {"rows": 1}, context)
    for key in (*backups.index_keys(first), backups.manifest_key(first.backup_id)):
        backups.store.delete(key)
    again = written(backups, 1, run_token="0123456789ab", archives=())
    assert backups.verdict_on(again).state == "complete"
    assert verdict.proof(backups, again) is None
    assert verdict.set_proven(backups, again, {"rows": 2}, context)
    assert not verdict.set_proven(backups, again, {"rows": 3}, context)
    assert (verdict.proof(backups, again) or {})["rows"] == 2
    assert verdict.proof(backups, first) is None


def test_a_verdict_is_not_inherited_either(backups: Backups, context: Context) -> None:
    """Neither for good nor for ill: a mark of the new backup whose document is not there counts by itself."""
    first = written(backups, 1)
    verdict.set_held(backups, first, True, "audit of 2026", context)
    verdict.set_suspicion(backups, first, False, "damaged", "read again, and it is whole", context)
    for key in (*backups.index_keys(first), backups.manifest_key(first.backup_id)):
        backups.store.delete(key)
    again = written(backups, 1, run_token="0123456789ab", archives=(), snapshot_at=NOON)
    entry = entry_of(again)
    for name in ("hold", "suspicion"):
        assert verdict.document(backups, entry_of(first), name, first)
        assert verdict.document(backups, entry_of(first), name, again) is None
        assert verdict.document(backups, entry, name) is None
    assert backups.verdict_on(again) == Verdict()
    for mark in ("held", "suspect"):
        backups.write_index(again, mark)
    (listed,) = backups.listed()
    for found in (backups.verdict_on(again), backups.judge(listed)):
        assert found.held
        assert found.hold_reason != "audit of 2026"
        assert not found.good
    verdict.set_suspicion(backups, again, False, "damaged", "read again, and it is whole", context)
    assert backups.verdict_on(again).good


def test_suspicion_outweighs_a_proof(backups: Backups, context: Context) -> None:
    manifest = written(backups, 1)
    verdict.set_proven(backups, manifest, {}, context)
    verdict.set_suspicion(backups, manifest, True, "damaged", "cut", context)
    assert backups.verdict_on(manifest).state == "suspect"
    with pytest.raises(RunbookError, match="1 suspect"):
        backups.latest(WHOLE)


def test_none_is_proven(backups: Backups) -> None:
    written(backups, 1)
    with pytest.raises(RunbookError, match="1 not proven"):
        backups.latest(WHOLE, "proven")


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"at": "soon"}'])
def test_a_proof_that_is_none_is_corrupt(backups: Backups, body: bytes) -> None:
    manifest = written(backups, 1)
    backups.store.put(verdict.proof_key(backups, manifest.backup_id), body)
    with pytest.raises(RunbookError) as refused:
        verdict.proof(backups, manifest)
    assert refused.value.code == "object_corrupt"


def test_states_are_ordered_by_trust() -> None:
    assert Verdict(state="proven").reaches("complete")
    assert not Verdict(state="complete").reaches("proven")
    assert not Verdict(state="suspect").reaches("complete")
    with pytest.raises(ValueError, match="no cause"):
        verdict.set_suspicion(None, None, True, "mood", "", None)  # type: ignore[arg-type]


def test_what_a_killed_run_left_of_a_suspect_backup_becomes_a_suspect_one(backups: Backups, context: Context) -> None:
    """Its manifest is there, and none of its index keys: without the mark first it would be listed as a good one."""
    manifest = written(backups, 1, state="suspect", suspect_reason="7 rows instead of 9000")
    for key in backups.index_keys(manifest):
        backups.store.delete(key)
    began = compact(datetime.now(UTC) - timedelta(days=2))
    marker = f"production/databases/main/attempts/{began}.{manifest.backup_id}.{manifest.run_token}"
    backups.store.put(marker, b"")
    assert isinstance(backups.store, FileStore)
    long_ago = time.time() - 2 * 86400
    os.utime(Path(backups.store.url.removeprefix("file://")) / marker, (long_ago, long_ago))
    assert sweep(backups, context) == 1
    (listed,) = backups.listed()
    assert listed.marks == {"suspect"}
    assert backups.store.head(marker) is None
    assert sweep(backups, context) == 0
