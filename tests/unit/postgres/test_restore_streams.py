# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which order what is made of rows is restored."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Entry, read_head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.streams import in_turn

HEAD = read_head(io.BytesIO((Path(__file__).parent / "archives" / "pg18_zstd.dump").read_bytes()), "object")
ENTRIES: tuple[tuple[int, str, tuple[int, ...]], ...] = (
    (1, "CONSTRAINT", ()),
    (2, "CONSTRAINT", (99,)),
    (3, "MATERIALIZED VIEW", (1,)),
    (4, "INDEX", (3,)),
    (5, "INDEX ATTACH", (1, 2)),
    (6, "FK CONSTRAINT", (1, 5)),
    (7, "TRIGGER", ()),
)


def entries(*given: tuple[int, str, tuple[int, ...]]) -> list[Entry]:
    return [
        replace(HEAD.entries[0], dump_id=number, desc=desc, depends_on=needs, section="post-data")
        for number, desc, needs in given
    ]


def test_indexes_are_attached_while_nobody_else_is_at_work() -> None:
    turns = in_turn(entries(*ENTRIES), frozenset(range(1, 8)), 2)
    # The index of a view that is made of a key waits for its view, whatever it is attached to.
    assert turns == [({1, 2}, 2), ({5}, 1), ({3, 4, 6, 7}, 2)]


def test_what_is_restored_already_is_waited_for_by_nobody() -> None:
    turns = in_turn(entries(*ENTRIES), frozenset({2, 5, 6, 7}), 2)
    assert turns == [({2}, 2), ({5}, 1), ({6, 7}, 2)]


def test_one_session_stands_in_nobodys_way() -> None:
    assert in_turn(entries(*ENTRIES), frozenset(range(1, 8)), 1) == [(set(range(1, 8)), 1)]
    unattached = entries(*(entry for entry in ENTRIES if entry[1] != "INDEX ATTACH"))
    assert in_turn(unattached, frozenset({1, 2, 6}), 2) == [({1, 2, 6}, 2)]
