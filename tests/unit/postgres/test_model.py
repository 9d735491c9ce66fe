# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests as documents, selections and names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    MANIFEST_SCHEMA,
    LargeObjectsFact,
    Manifest,
    MigrationHead,
    ObjectFact,
    Selection,
    SequenceFact,
    TableFact,
    TableName,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import selection, table_name
from hypothesis import given
from hypothesis import strategies as st

from harness.manifests import make_manifest

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=12)


def full() -> Manifest:
    from dataclasses import replace

    return replace(
        make_manifest("one"),
        tables=(TableFact(schema="public", name="t", kind="table", rows=3, rows_by="exact", policies=("p",)),),
        sequences=(SequenceFact(schema="public", name="s", before=None, after=7),),
        globals=ObjectFact(key="k", bytes=1, sha256="00"),
        large_objects=LargeObjectsFact(count=2, bytes=100),
        migration_head=MigrationHead(tool="prisma", id="1"),
        durations={"dump": 1.5, "total": 2},
    )


@pytest.mark.parametrize("manifest", [make_manifest("one"), full()])
def test_a_manifest_survives_being_written(manifest: Manifest) -> None:
    document = json.loads(json.dumps(manifest.to_json()))
    assert Manifest.from_json(document, "here") == manifest
    assert document["selection"]["hash"] == manifest.selection.hash


def test_fields_of_later_releases_are_passed_over() -> None:
    document = {**full().to_json(), "invented_later": {"a": 1}}
    assert Manifest.from_json(document, "here") == full()


def test_a_newer_schema_is_refused_by_name() -> None:
    with pytest.raises(RunbookError, match=f"schema {MANIFEST_SCHEMA + 1}") as caught:
        Manifest.from_json({"schema": MANIFEST_SCHEMA + 1}, "here")
    assert caught.value.code == "document_too_new"


@pytest.mark.parametrize(
    "damage",
    [
        None,
        [],
        {},
        {"snapshot_at": "yesterday"},
        {"snapshot_at": 5},
        {"tables": [{"schema": 1}]},
        {"tables": {}},
        {"server": None},
        {"archives": [{"key": "k", "bytes": "1", "sha256": "", "entries": 1}]},
        {"archives": [{"key": "k", "bytes": True, "sha256": "", "entries": 1}]},
        {"durations": {"dump": "long"}},
    ],
)
def test_what_is_no_manifest_is_corrupt(damage: Any) -> None:
    document = {**full().to_json(), **damage} if damage else damage
    with pytest.raises(RunbookError) as caught:
        Manifest.from_json(document, "the/key")
    assert caught.value.code == "object_corrupt"
    assert "the/key" in caught.value.message


#: An encrypted archive of 100 bytes, which 216 bytes behind a header of 100 hold: its head, and the rows of two tables.
SEALED: dict[str, Any] = {"key": "k", "bytes": 216, "sha256": "", "entries": 3}
AGE: dict[str, Any] = {"bytes": 100, "header_bytes": 100, "header_sha256": ""}


def sealed(*segments: tuple[int, int, list[int]], **age: int) -> dict[str, Any]:
    listed = [{"offset": at, "bytes": size, "sha256": "", "entries": entries} for at, size, entries in segments]
    archive = {**SEALED, "segments": listed, "age": {**AGE, **age}}
    return {**full().to_json(), "schema": 2, "archives": [archive]}


def test_segments_that_are_all_of_an_archive_are_believed() -> None:
    document = sealed((0, 20, []), (20, 50, [3]), (70, 30, [1, 2]))
    (archive,) = Manifest.from_json(document, "here").archives
    assert [each.bytes for each in archive.segments] == [20, 50, 30]
    assert Manifest.from_json(sealed(), "here").archives[0].segments == ()


@pytest.mark.parametrize(
    "document",
    [
        sealed((0, 20, []), (20, 60, [3]), (70, 30, [1, 2])),
        sealed((0, 20, []), (70, 30, [1, 2])),
        sealed((0, 20, []), (20, 100, [3]), (120, -50, []), (70, 30, [1, 2])),
        sealed((0, 20, []), (20, 50, [3]), (70, 0, []), (70, 30, [1, 2])),
        sealed((-20, 40, []), (20, 50, [3]), (70, 30, [1, 2])),
        sealed((0, 20, []), (20, 50, [3]), (70, 31, [1, 2])),
        sealed((0, 20, []), (20, 50, [3]), (70, 29, [1, 2])),
        sealed((0, 20, []), (20, 50, [3]), (70, 30, [3, 2])),
        sealed((0, 20, [1]), (20, 50, [3]), (70, 30, [2])),
        sealed((0, 100, []), bytes=101),
        sealed(header_bytes=-1),
        sealed(header_bytes=216, bytes=0),
        sealed(bytes=-16, header_bytes=232),
        {**full().to_json(), "archives": []},
        {**full().to_json(), "archives": [{"key": "k", "bytes": -1, "sha256": "", "entries": 1}]},
        {**full().to_json(), "archives": [{"key": key, "bytes": 1, "sha256": "", "entries": 1} for key in "kl"]},
    ],
    ids=[
        "overlap",
        "gap",
        "negative",
        "empty",
        "before the archive",
        "beyond the archive",
        "not all of the archive",
        "rows twice",
        "rows in the head",
        "another size",
        "a header of no size",
        "nothing that authenticates",
        "a negative size",
        "no archive",
        "an archive of a negative size",
        "nobody knows which archive has the definitions",
    ],
)
def test_what_cannot_be_true_of_an_archive_is_corrupt(document: dict[str, Any]) -> None:
    """Known where the manifest is read: nothing is read from such places, whoever reads it."""
    with pytest.raises(RunbookError) as caught:
        Manifest.from_json(document, "the/manifest.json")
    assert (caught.value.code, caught.value.object) == ("object_corrupt", "the/manifest.json")
    assert "another backup" in caught.value.remedy


def test_rows() -> None:
    from dataclasses import replace

    uncounted = TableFact(schema="public", name="t", kind="table")
    assert replace(full(), tables=()).rows == 0
    assert replace(full(), tables=(uncounted,)).rows is None
    assert replace(full(), tables=(uncounted, *full().tables)).rows == 3


@given(schema=NAMES, name=NAMES)
def test_names_survive_being_written(schema: str, name: str) -> None:
    table = TableName(schema=schema, name=name)
    assert table_name(table.text, "tables") == table


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("users", ("public", "users")),
        ("App.Users", ("App", "Users")),
        ('"a.b"."c""d"', ("a.b", 'c"d')),
        ('app."dot.ted"', ("app", "dot.ted")),
        ("a b", ("public", "a b")),
    ],
)
def test_names_as_people_write_them(text: str, expected: tuple[str, str]) -> None:
    table = table_name(text, "tables")
    assert (table.schema, table.name) == expected


@pytest.mark.parametrize("text", ["", ".", "a.", ".b", "a.b.c", '"a', 'a"b', '""', "a..b"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(RunbookError) as caught:
        table_name(text, "exclude_tables")
    assert caught.value.code == "invalid_parameter"
    assert "exclude_tables" in caught.value.message


def test_a_selection_is_what_it_selects() -> None:
    assert Selection().whole
    one = selection([], ["b", "public.a", "a"], [], [])
    other = selection([], ["a", "public.b"], [], [])
    assert one.hash == other.hash
    kinds = [selection(["a"], [], [], []), selection([], ["a"], [], []), selection([], [], ["a"], [])]
    kinds += [selection([], [], [], ["a"]), Selection()]
    assert len({each.hash for each in kinds}) == len(kinds)
    assert one.describe() == "tables public.a, public.b"
