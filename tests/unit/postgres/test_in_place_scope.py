# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore in place puts back and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Entry, Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place.scope import (
    Present,
    foreign_grants,
    head_of,
    schemas_in,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Endpoint, TableName
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.table_history import last_with
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.tables.put_back import put_back

PRESENT = Present(
    schemas={"public": False},
    extensions=frozenset({"hstore"}),
    publications=frozenset({"ours"}),
    roles=frozenset({"me"}),
)


def entry(number: int, desc: str, tag: str, schema: str | None = "public", **more: object) -> Entry:
    given: dict[str, object] = {
        "section": "pre-data", "owner": "me", "defn": "", "copy": None, "tablespace": None, "table_am": None,
        "has_data": False, "depends_on": (), "position": 0, **more,
    }  # fmt: skip
    return Entry(dump_id=number, desc=desc, tag=tag, namespace=schema, **given)  # type: ignore[arg-type]


def head(*entries: Entry) -> Head:
    return Head(
        version=(1, 16),
        offset_size=8,
        compression="none",
        database="d",
        server_version="18",
        dump_version="18",
        codec="utf-8",
        entries=entries,
        raw=b"",
        beyond=b"",
    )


ENTRIES = (
    entry(1, "SCHEMA", "public", None),
    entry(2, "SCHEMA", "gone", None),
    entry(3, "EXTENSION", "hstore", None),
    entry(4, "EXTENSION", "citext", None),
    entry(5, "EXTENSION", "pg_net", None),
    entry(6, "TABLE", "note", depends_on=(3, 4)),
    entry(7, "TABLE", "users", "auth"),
    entry(8, "TRIGGER", "users greet", "auth", depends_on=(7,)),
    entry(9, "TRIGGER", "users other", "auth", depends_on=(7,)),
    entry(10, "COMMENT", "TRIGGER greet ON users", "auth", depends_on=(8,)),
    entry(11, "ACL", "SCHEMA public", None),
    entry(12, "ACL", 'SCHEMA "gone"', None),
    entry(13, "DEFAULT ACL", "DEFAULT PRIVILEGES FOR TABLES", owner="admin"),
    entry(14, "DEFAULT ACL", "DEFAULT PRIVILEGES FOR TABLES"),
    entry(15, "PUBLICATION TABLE", "ours note"),
    entry(16, "PUBLICATION TABLE", "theirs note"),
    entry(17, "PUBLICATION TABLES IN SCHEMA", "ours public"),
    entry(18, "TABLE DATA", "spatial_ref_sys"),
    entry(19, "TABLE DATA", "note"),
    entry(20, "ACL", "TABLE spatial_ref_sys"),
    entry(21, "ACL", "COLUMN spatial_ref_sys.id"),
    entry(22, "ACL", 'TABLE "spatial_ref_sys.id"'),
    entry(23, "ACL", "FUNCTION spatial_ref_sys()"),
)


def test_schemas_of_the_platform_are_not_the_users() -> None:
    assert schemas_in([head(*ENTRIES)], ["auth"]) == {"public", "gone"}


def test_exactly_what_belongs_to_the_schemas_comes_back() -> None:
    present = replace(PRESENT, regained=frozenset({("TRIGGER", "auth", "users greet")}))
    found, losses = head_of(head(*ENTRIES), {"public", "gone"}, present, {("public", "spatial_ref_sys")})
    assert [each.dump_id for each in found.entries] == [2, 4, 6, 8, 10, 12, 14, 15, 19, 22, 23]
    assert [loss.split(",")[0] for loss in losses] == [
        "privileges of schema public",
        "default privileges of role admin in schema public",
        "a table in a publication that this role cannot change (theirs note)",
    ]


def test_grants_in_the_name_of_another_role_are_known() -> None:
    other = entry(1, "ACL", "TABLE note", defn="SET SESSION AUTHORIZATION x;\nGRANT SELECT ON TABLE public.note TO y;")
    assert foreign_grants([head(other, entry(2, "ACL", "TABLE b", defn="GRANT SELECT ON TABLE public.b TO y;"))]) == (
        "public.TABLE note",
    )


def test_the_last_backup_with_a_table_is_named() -> None:
    name = TableName(schema="public", name="t")
    have = {"table": "public.t", "in_backup": True, "rows": 7}
    lack = {**have, "in_backup": False, "rows": None}
    listed = [
        {"id": "b3", "snapshot_at": "3", "state": "complete", "tables": [lack]},
        {"id": "b2", "snapshot_at": "2", "state": "suspect", "tables": [have]},
        {"id": "b1", "snapshot_at": "1", "state": "proven", "tables": [have]},
    ]
    assert last_with(listed, name) == "the newest that has public.t is b1 of 1, with 7 rows"
    assert last_with(listed[:2], name).startswith("none of the newest")


def test_commands_are_quoted_for_shell_and_sql() -> None:
    name = TableName(schema="public", name='it\'s "$x"')
    copy = 'COPY public."it\'s ""$x""" (a, "b c") FROM stdin;\n'
    rows = entry(1, "TABLE DATA", name.name, copy=copy)
    owned = entry(2, "SEQUENCE OWNED BY", "s", defn=f"ALTER SEQUENCE public.s OWNED BY public.{name.quoted[9:]}.a;\n")
    where = Endpoint(host="db", port=5432, user="o'neil", database="x")
    (found,) = put_back({name: [name]}, [head(rows, owned)], endpoint=where, copy="c", live="l", present={name: True})
    text = "\n".join(found["commands"])
    # Rows wait where nobody else comes.
    made, *_others, merged = [each.replace("'\"'\"'", "'") for each in found["commands"][:3]]
    beside = 'it\'s ""$x""__restored'
    assert f'CREATE SCHEMA "{beside}"' in made
    assert "ENABLE ROW LEVEL SECURITY" in made
    assert f'DROP SCHEMA "{beside}"' in merged
    assert f'DROP SCHEMA "{beside}" CASCADE' in found["notes"]
    assert '(a, "b c") OVERRIDING SYSTEM VALUE' in text
    assert "max(a)" in text
    assert "$x" in text
    assert '"$x' not in text.replace('""$x', "")
    (gone,) = put_back({name: [name]}, [head(rows)], endpoint=where, copy="c", live="l", present={name: False})
    (command,) = gone["commands"]
    assert command.startswith("set -o pipefail; pg_dump ")
    assert "--single-transaction" in command
