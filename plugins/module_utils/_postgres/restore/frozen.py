# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows that are loaded frozen into tables which the same restore has made (private to ops.runbooks). Pure.

A row that is loaded in the ordinary way is written once more when somebody first looks at it, to note that its
transaction has ended, and again when it is frozen; with data checksums, the default since PostgreSQL 18, the page goes
into the write-ahead log each time. Indexes, statistics and the count of the rows look at every row of a restore.
``COPY ... WITH (FREEZE)`` writes both at once and marks the pages as visible to all, so the count can read an index
alone, and nobody has to vacuum what was just restored (PostgreSQL manual, COPY, ``FREEZE``; section 24.1.5).

It is allowed only in the transaction that has made the table or emptied it. Other sessions have made it, so it is
emptied first; pg_restore sends both as one command, and such a command is one transaction (section 53.2.2.1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Change, Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.compare import loaded_through
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import Adaptation

#: What pg_dump writes before rows (``pg_dump.c``, ``dumpTableData``), up to the columns.
_COPY = re.compile(r'\ACOPY (?P<table>(?:"(?:[^"]|"")*"|[^\s".(]+)\.(?:"(?:[^"]|"")*"|[^\s".(]+)) .*FROM stdin;\n\Z')
#: The only access method that is known to take rows frozen; None and an empty one are the default of old archives.
_HEAP = frozenset({None, "", "heap"})


def frozen(archives: Sequence[tuple[Head, Adaptation]]) -> list[Adaptation]:
    """How all archives of one restore are changed, in their order, so that rows are loaded frozen where they may be.

    That is where one of the archives makes the table: an extension's may hold rows of its own, which are not to be
    lost. Rows of a partition that are copied into its root stay as they are.
    """
    made = {
        (entry.namespace, entry.tag)
        for head, adaptation in archives
        for entry in head.entries
        if entry.desc == "TABLE" and entry.table_am in _HEAP and entry.dump_id not in adaptation.left_out
    }
    through = {(table.schema, table.name) for table in loaded_through([head for head, _adaptation in archives])}
    return [
        replace(adaptation, changes=_with_copies(head, adaptation.changes, made - through))
        for head, adaptation in archives
    ]


def _with_copies(head: Head, changes: Mapping[int, Change], tables: set[tuple[str | None, str]]) -> dict[int, Change]:
    changed = dict(changes)
    for entry in head.entries:
        if entry.desc != "TABLE DATA" or (entry.namespace, entry.tag) not in tables:
            continue
        if found := _COPY.match(entry.copy or ""):
            before = changed.get(entry.dump_id, Change())
            copy = f"TRUNCATE TABLE ONLY {found['table']};\n{found[0][:-2]} WITH (FREEZE);\n"
            changed[entry.dump_id] = replace(before, copy=copy)
    return changed
