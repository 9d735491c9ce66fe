# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which indexes are made before all rows are there, and by whom."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Entry, Head, read_head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import TableName
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.meanwhile import (
    Meanwhile,
    complete_tables,
    plain_indexes,
)

HEAD = read_head(io.BytesIO((Path(__file__).parent / "archives" / "pg18_zstd.dump").read_bytes()), "object")
A, B = TableName(schema="public", name="a"), TableName(schema="public", name="b")


def entry(dump_id: int, desc: str, tag: str, defn: str = "", *, needs: tuple[int, ...] = ()) -> Entry:
    return replace(
        HEAD.entries[0], dump_id=dump_id, desc=desc, tag=tag, namespace="public", defn=defn, copy=None, depends_on=needs
    )


def head(*entries: Entry) -> Head:
    return replace(HEAD, entries=(entry(1, "TABLE", "a"), entry(2, "TABLE", "b"), *entries))


KEY = entry(
    3, "CONSTRAINT", "a_pkey", "ALTER TABLE ONLY public.a\n    ADD CONSTRAINT a_pkey PRIMARY KEY (id);\n\n", needs=(1,)
)
UNIQUE = entry(4, "CONSTRAINT", "u", 'ALTER TABLE ONLY public.a\n    ADD CONSTRAINT u UNIQUE ("I d", x);\n', needs=(1,))
INDEX = entry(5, "INDEX", "i", "CREATE INDEX i ON public.b USING btree (x, y DESC);\n", needs=(2,))


def test_indexes_on_columns_are_plain() -> None:
    assert plain_indexes(head(KEY, UNIQUE, INDEX).entries) == {A: [3, 4], B: [5]}


@pytest.mark.parametrize(
    ("desc", "defn"),
    [
        ("INDEX", "CREATE INDEX i ON public.a USING btree (lower(x));"),
        ("INDEX", "CREATE INDEX i ON public.a USING btree (x) WHERE public.f(x);"),
        ("INDEX", "CREATE INDEX i ON public.a USING gin (x);"),
        ("INDEX", "CREATE INDEX i ON public.a USING btree (x) WITH (fillfactor='70');"),
        ("INDEX", "CREATE INDEX i ON public.a USING btree (x);\n\nALTER TABLE public.a CLUSTER ON i;"),
        ("CONSTRAINT", "ALTER TABLE ONLY public.a ADD CONSTRAINT e EXCLUDE USING btree (x WITH =);"),
        ("CONSTRAINT", "ALTER TABLE ONLY public.a ADD CONSTRAINT u UNIQUE (x) DEFERRABLE;"),
        ("FK CONSTRAINT", "ALTER TABLE ONLY public.a ADD CONSTRAINT f FOREIGN KEY (x) REFERENCES public.b(id);"),
        ("CHECK CONSTRAINT", "ALTER TABLE public.a ADD CONSTRAINT c CHECK (x) NOT VALID;"),
        ("INDEX", ""),
    ],
)
def test_what_asks_for_more_waits_for_all_rows(desc: str, defn: str) -> None:
    assert plain_indexes(head(entry(3, desc, "i", defn, needs=(1,))).entries) == {}


def test_a_real_archive() -> None:
    found = {each.tag for each in HEAD.entries for made in plain_indexes(HEAD.entries).values() if each.dump_id in made}
    wanted = {each.tag for each in HEAD.entries if each.desc == "CONSTRAINT" and "KEY (" in (each.defn or "")}
    assert wanted
    assert wanted <= found


def test_who_waits_for_the_last_rows_makes_indexes() -> None:
    meanwhile = Meanwhile(head(KEY, UNIQUE, INDEX), streams=2)
    meanwhile.began()
    meanwhile.began()
    work = meanwhile.ended([A])
    assert next(work) == 3
    assert list(meanwhile.ended([B])) == [], "nobody loads any more: all sessions together do the rest"
    assert list(work) == []
    assert meanwhile.made == {3}


def test_rows_that_wait_come_first() -> None:
    meanwhile = Meanwhile(head(KEY, INDEX), streams=3)
    meanwhile.began()
    meanwhile.began()
    assert list(meanwhile.ended([A])) == [], "there is a third stream to load"
    meanwhile.began()
    assert list(meanwhile.ended([B])) == [3, 5]
    assert meanwhile.made == {3, 5}


def test_tables_are_complete_by_their_own_rows_only() -> None:
    rows = [
        replace(entry(10 + n, "TABLE DATA", tag), copy=f"COPY public.{tag} (id) FROM stdin;\n")
        for n, tag in enumerate("ab")
    ]
    assert complete_tables(head(*rows)) == [A, B]
    assert complete_tables(head(*rows), [11, 10, 99]) == [B, A]
    through_root = replace(rows[1], copy="COPY public.a (id) FROM stdin;\n")
    assert complete_tables(head(rows[0], through_root), [10]) == []
