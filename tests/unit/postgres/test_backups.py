# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Index keys, lists and choices of backups, on a store in a directory."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
from ansible_collections.ops.runbooks.plugins.module_utils._core.store_file import FileStore
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import (
    MARKS,
    Backups,
    decode_entry,
    encode_entry,
    entry_of,
    merge,
    selection_hash,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    KINDS,
    BackupEntry,
    Manifest,
    Selection,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.manifests import NOON, make_context, make_manifest

WHOLE = Selection().hash
PARTIAL = Selection(schemas=("app",))

moments = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
entries = st.builds(
    BackupEntry,
    backup_id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", fullmatch=True),
    snapshot_at=moments,
    kind=st.sampled_from(KINDS),
    bytes=st.integers(0, 10**15),
    selection_hash=st.from_regex(r"[0-9a-f]{12}", fullmatch=True),
    mark=st.sampled_from(["", *MARKS]),
)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return make_context(tmp_path)


@pytest.fixture
def store(tmp_path: Path, context: Context) -> FileStore:
    (tmp_path / "store").mkdir()
    return FileStore.at(str(tmp_path / "store"), context)


@pytest.fixture
def backups(store: FileStore, context: Context) -> Backups:
    return Backups(store, "production", "main", context)


def written(backups: Backups, number: int, **changes: object) -> Manifest:
    """A complete backup, ``number`` days after noon."""
    manifest = make_manifest(f"b{number}", **{"snapshot_at": NOON + timedelta(days=number), **changes})
    assert backups.write_manifest(manifest)
    return manifest


@given(entries)
def test_index_keys_decode_to_what_they_encode(entry: BackupEntry) -> None:
    assert decode_entry(encode_entry(entry)) == entry


@given(entries, entries)
def test_index_keys_sort_by_snapshot_time(one: BackupEntry, other: BackupEntry) -> None:
    if one.snapshot_at < other.snapshot_at:
        assert encode_entry(one) < encode_entry(other)


@given(entries)
def test_index_keys_fit_into_every_store(entry: BackupEntry) -> None:
    assert len(encode_entry(entry)) <= 255
    assert "/" not in encode_entry(entry)


def test_index_keys_of_other_zones_are_in_utc() -> None:
    entry = entry_of(make_manifest(snapshot_at=NOON.astimezone(timezone(timedelta(hours=5)))))
    assert encode_entry(entry) == f"20261120T120000250000Z.daily-2026-11-20.scheduled.1000.{WHOLE}"


@given(st.text(max_size=80))
def test_strangers_keys_are_passed_over(text: str) -> None:
    entry = decode_entry(text)
    assert entry is None or encode_entry(entry) == text


@pytest.mark.parametrize(
    "key",
    [
        "20261120T120000250000Z.b.scheduled.1000",
        "20261120T120000250000Z.b.scheduled.1000.0123456789ab.unheard",
        "20261120T120000250000Z.b.unheard.1000.0123456789ab",
        "20261120T120000250000Z.b.scheduled.-1.0123456789ab",
        "20261120T120000250000Z.b.scheduled.1.0123456789AB",
        "20261320T120000250000Z.b.scheduled.1.0123456789ab",
        "20261120T120000250000Z.-b.scheduled.1.0123456789ab",
    ],
)
def test_broken_keys_are_passed_over(key: str) -> None:
    assert decode_entry(key) is None


@given(st.dictionaries(entries.map(lambda entry: replace(entry, mark="")), st.sets(st.sampled_from(MARKS)), max_size=8))
@settings(deadline=None)
def test_all_keys_of_a_backup_are_one(backups: dict[BackupEntry, set[str]]) -> None:
    keys = sorted(encode_entry(replace(entry, mark=mark)) for entry, marks in backups.items() for mark in ("", *marks))
    found = merge(entry for key in keys if (entry := decode_entry(key)) is not None)
    assert {listed.entry: set(listed.marks) for listed in found} == backups


def test_a_backup_is_listed_once_with_all_its_marks(backups: Backups) -> None:
    manifest = written(backups, 0)
    written(backups, 1)
    for mark in ("proven", "held"):
        backups.write_index(manifest, mark)
    (first, proven), (second, plain) = backups.judged(backups.listed())
    assert (first.entry.backup_id, proven.state, proven.held, proven.good) == ("b0", "proven", True, True)
    assert (second.entry.backup_id, plain.state, plain.held) == ("b1", "complete", False)
    assert len(backups.index_keys(manifest)) == 3


def test_a_mark_without_its_plain_key_still_lists_the_backup(backups: Backups) -> None:
    manifest = written(backups, 0)
    backups.write_index(manifest, "proven")
    backups.store.delete(backups.index_key(entry_of(manifest)))
    (only,) = backups.listed()
    assert (only.entry.backup_id, backups.judge(only).state) == ("b0", "proven")


def test_names_with_a_common_beginning_never_mix(store: FileStore, context: Context) -> None:
    app, staging = (Backups(store, "production", name, context) for name in ("app", "app_staging"))
    for number, each in enumerate((app, staging)):
        assert each.write_manifest(make_manifest(f"b{number}", name=each.name))
    assert [listed.entry.backup_id for listed in app.listed()] == ["b0"]
    assert app.latest(WHOLE).backup_id == "b0"
    assert staging.latest(WHOLE).backup_id == "b1"
    with pytest.raises(RunbookError, match="no manifest"):
        app.by_id("b1")


def test_ids_with_a_common_beginning_keep_their_index_keys(backups: Backups) -> None:
    one, other = make_manifest("daily"), make_manifest("daily-2")
    for manifest in (one, other):
        assert backups.write_manifest(manifest)
    assert [key.split(".")[1] for key in backups.index_keys(one)] == ["daily"]


def test_lists_are_bounded_by_time_on_both_sides(backups: Backups) -> None:
    for number in range(5):
        written(backups, number)

    def ids(**bounds: datetime) -> list[str]:
        return [listed.entry.backup_id for listed in backups.listed(**bounds)]

    day = timedelta(days=1)
    assert ids(since=NOON + day) == ["b1", "b2", "b3", "b4"]
    assert ids(since=NOON + day + timedelta(microseconds=1)) == ["b2", "b3", "b4"]
    assert ids(until=NOON + day) == ["b0", "b1"]
    assert ids(since=NOON + day, until=NOON + 3 * day) == ["b1", "b2", "b3"]


def test_latest_is_by_snapshot_time_and_of_the_selection(backups: Backups) -> None:
    written(backups, 2)
    written(backups, 1)
    written(backups, 3, selection=PARTIAL)
    assert backups.latest(WHOLE).backup_id == "b2"
    assert backups.latest(PARTIAL.hash).backup_id == "b3"
    assert backups.latest(None).backup_id == "b3"


def test_suspect_backups_never_count(backups: Backups) -> None:
    written(backups, 1)
    backups.write_index(written(backups, 2), "suspect")
    written(backups, 3, state="suspect")
    assert backups.latest(WHOLE).backup_id == "b1"
    assert backups.by_id("b2").backup_id == "b2"


def test_at_is_the_newest_that_is_not_later(backups: Backups) -> None:
    for number in (1, 2, 3):
        written(backups, number)
    moment = NOON + timedelta(days=2)
    assert backups.at(moment, WHOLE).backup_id == "b2"
    assert backups.at(moment - timedelta(microseconds=1), WHOLE).backup_id == "b1"
    assert backups.at(moment + timedelta(days=900), WHOLE).backup_id == "b3"
    for long_ago in (NOON, datetime.min.replace(tzinfo=UTC)):
        with pytest.raises(RunbookError, match="no backup that old") as refused:
            backups.at(long_ago, WHOLE)
        assert refused.value.code == "backup_not_found"


@given(
    history=st.lists(
        st.tuples(st.integers(-4000, 0), st.booleans(), st.booleans()), max_size=12, unique_by=lambda x: x[0]
    ),
    until=st.none() | st.integers(-4000, 0),
    since=st.none() | st.integers(-4000, 0),
)
@settings(max_examples=40, deadline=None)
def test_newest_agrees_with_looking_at_all(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[tuple[int, bool, bool]],
    until: int | None,
    since: int | None,
) -> None:
    directory = tmp_path_factory.mktemp("store")
    context = make_context(directory)
    backups = Backups(FileStore.at(str(directory), context), "production", "main", context)
    now = context.clock.now()

    def moment(hours: int | None) -> datetime | None:
        return None if hours is None else now + timedelta(hours=hours)

    for hours, suspect, partial in history:
        manifest = make_manifest(f"b{-hours}", snapshot_at=moment(hours), selection=PARTIAL if partial else Selection())
        assert backups.write_manifest(manifest)
        if suspect:
            backups.write_index(manifest, "suspect")
    fitting = [
        hours
        for hours, suspect, partial in history
        if not suspect and not partial and (until is None or hours <= until) and (since is None or hours >= since)
    ]
    found = backups.newest(WHOLE, since=moment(since), until=moment(until))
    assert (found.backup_id if found else None) == (f"b{-max(fitting)}" if fitting else None)


def test_a_listed_backup_without_manifest_is_passed_over_and_named(backups: Backups, context: Context) -> None:
    written(backups, 1)
    backups.store.delete(backups.manifest_key(written(backups, 2).backup_id))
    assert backups.latest(WHOLE).backup_id == "b1"
    assert any("b2" in warning and "no manifest" in warning for warning in context.warnings)
    with pytest.raises(RunbookError) as refused:
        backups.by_id("b2")
    assert refused.value.code == "backup_not_found"


def test_a_manifest_without_index_key_is_found_by_its_id_and_repaired(backups: Backups) -> None:
    manifest = written(backups, 1)
    backups.store.delete(backups.index_key(entry_of(manifest)))
    assert not backups.indexed(manifest)
    with pytest.raises(RunbookError):
        backups.latest(WHOLE)
    assert backups.by_id("b1") == manifest
    backups.write_index(manifest)
    assert backups.latest(WHOLE) == manifest


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (lambda document: {**document, "schema": 99}, "document_too_new", "schema 99"),
        (lambda document: {**document, "backup_id": "other"}, "object_corrupt", "another backup"),
        (lambda document: {**document, "environment": "staging"}, "object_corrupt", "another backup"),
        (lambda document: {key: document[key] for key in document if key != "server"}, "object_corrupt", "server"),
        (lambda document: {**document, "archives": [{"key": "elsewhere/x", "bytes": 1, "sha256": "", "entries": 1}]},
         "object_corrupt", "elsewhere/x"),
        (lambda document: [document], "object_corrupt", "not a manifest"),
    ],
)  # fmt: skip
def test_the_newest_is_never_replaced_by_an_older_one_because_it_cannot_be_read(
    backups: Backups, change: object, code: str, said: str
) -> None:
    written(backups, 1)
    key = backups.manifest_key(written(backups, 2).backup_id)
    document = json.loads(backups.store.get(key) or b"")
    backups.store.put(key, json.dumps(change(document)).encode())  # type: ignore[operator]
    with pytest.raises(RunbookError, match=said) as refused:
        backups.latest(WHOLE)
    assert refused.value.code == code


def test_a_manifest_that_is_not_json_is_corrupt(backups: Backups) -> None:
    key = backups.manifest_key(written(backups, 1).backup_id)
    backups.store.put(key, b"{")
    with pytest.raises(RunbookError, match="not JSON") as refused:
        backups.by_id("b1")
    assert refused.value.code == "object_corrupt"


def test_the_second_writer_of_a_manifest_loses(backups: Backups) -> None:
    first = written(backups, 1)
    second = replace(first, run_token="bbbbbbbbbbbb", archives=())
    assert not backups.write_manifest(second)
    assert backups.by_id("b1") == first
    assert backups.write_manifest(first)


def test_a_selection_is_a_word_a_hash_or_the_lists_that_made_it() -> None:
    assert selection_hash("any") is None
    assert selection_hash("whole") == selection_hash({}) == selection_hash({"schemas": [], "tables": []}) == WHOLE
    assert selection_hash(PARTIAL.hash) == PARTIAL.hash
    assert selection_hash({"tables": ["public.a", "b.c"]}) == selection_hash({"tables": ["b.c", "a"]}) != WHOLE


@pytest.mark.parametrize("wanted", ["", "half", {"table": []}, {"tables": "a"}, {"tables": [1]}, [], None, 1])
def test_a_selection_that_means_nothing(wanted: object) -> None:
    with pytest.raises(RunbookError) as caught:
        selection_hash(wanted)
    assert caught.value.code == "invalid_parameter"


def test_why_nothing_was_found_is_said(backups: Backups) -> None:
    with pytest.raises(RunbookError, match="lists no backup"):
        backups.latest(WHOLE)
    written(backups, 1, selection=PARTIAL)
    backups.write_index(written(backups, 2), "suspect")
    with pytest.raises(RunbookError, match="1 of another selection, 1 suspect"):
        backups.latest(WHOLE)
