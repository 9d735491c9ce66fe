# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which rows a restore loads frozen, and how it says so."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Change, Entry, Head, read_head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import Adaptation
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.frozen import frozen

ARCHIVES = sorted((Path(__file__).parent / "archives").glob("*.dump"))
AS_IT_IS = Adaptation(changes={}, left_out=frozenset(), losses=())
TABLE = Entry(
    dump_id=1,
    desc="TABLE",
    tag="Odd; name",
    section="pre-data",
    namespace="app",
    owner="app",
    defn="CREATE TABLE ...",
    copy=None,
    tablespace=None,
    table_am="heap",
    has_data=False,
    depends_on=(),
    position=0,
)
ROWS = replace(
    TABLE,
    dump_id=2,
    desc="TABLE DATA",
    section="data",
    defn=None,
    copy='COPY app."Odd; name" (id, "a ""b"" (c)") FROM stdin;\n',
    table_am=None,
    has_data=True,
    depends_on=(1,),
)


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.stem)
def head(request: pytest.FixtureRequest) -> Head:
    return read_head(io.BytesIO(request.param.read_bytes()), "object")


def copies(head: Head, *entries: Entry, adaptation: Adaptation = AS_IT_IS) -> dict[int, Change]:
    return dict(frozen([(replace(head, entries=entries), adaptation)])[0].changes)


def test_rows_of_a_table_that_is_made_here_are_frozen(head: Head) -> None:
    expected = (
        'TRUNCATE TABLE ONLY app."Odd; name";\nCOPY app."Odd; name" (id, "a ""b"" (c)") FROM stdin WITH (FREEZE);\n'
    )
    assert copies(head, TABLE, ROWS) == {2: Change(copy=expected)}


def test_the_table_may_be_made_by_another_archive_of_the_backup(head: Head) -> None:
    definitions, rows = replace(head, entries=(TABLE,)), replace(head, entries=(ROWS,))
    first, second = frozen([(definitions, AS_IT_IS), (rows, AS_IT_IS)])
    assert (dict(first.changes), set(second.changes)) == ({}, {2})


def test_other_changes_of_the_entry_stay(head: Head) -> None:
    changed = copies(
        head, TABLE, ROWS, adaptation=replace(AS_IT_IS, changes={2: Change(owner="x"), 1: Change(defn="y")})
    )
    assert (changed[2].owner, changed[1]) == ("x", Change(defn="y"))
    assert changed[2].copy is not None


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param((ROWS,), id="table of an extension"),
        pytest.param((replace(TABLE, table_am="columnar"), ROWS), id="other access method"),
        pytest.param((replace(TABLE, desc="FOREIGN TABLE"), ROWS), id="foreign table"),
        pytest.param((TABLE, replace(ROWS, copy="COPY app.root (id) FROM stdin;\n")), id="into its root"),
        pytest.param((TABLE, replace(ROWS, copy=None)), id="as INSERTs"),
        pytest.param(
            (TABLE, replace(ROWS, copy='COPY app."Odd; name" (id) FROM stdin WITH BINARY;\n')), id="unknown form"
        ),
    ],
)
def test_other_rows_are_loaded_as_they_were(head: Head, entries: tuple[Entry, ...]) -> None:
    assert copies(head, *entries) == {}


def test_a_table_that_is_left_out_is_not_made_here(head: Head) -> None:
    assert copies(head, TABLE, ROWS, adaptation=replace(AS_IT_IS, left_out=frozenset({1}))) == {}


def test_of_a_real_archive_every_table_that_it_makes(head: Head) -> None:
    tables = {(entry.namespace, entry.tag) for entry in head.entries if entry.desc == "TABLE"}
    rows = {
        entry.dump_id for entry in head.entries if entry.desc == "TABLE DATA" if (entry.namespace, entry.tag) in tables
    }
    found = copies(head, *head.entries)
    assert found
    assert set(found) <= rows
    assert all(change.copy and change.copy.endswith(" FROM stdin WITH (FREEZE);\n") for change in found.values())
