# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a backup a drill can show where the server lacks something."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Entry, Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.drill.checks import Assertion
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.drill.contents import Provided, Shown, show
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import ExtensionFact, SequenceFact, TableFact
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import Adaptation

from harness.manifests import make_manifest

NOTHING = Adaptation(changes={}, left_out=frozenset(), losses=())


def entry(dump_id: int, desc: str, tag: str, *depends_on: int, schema: str | None = "public", defn: str = "") -> Entry:
    return Entry(
        dump_id=dump_id,
        desc=desc,
        tag=tag,
        section="pre-data",
        namespace=schema,
        owner="app",
        defn=defn,
        copy=None,
        tablespace=None,
        table_am=None,
        has_data=desc == "TABLE DATA",
        depends_on=depends_on,
        position=0,
    )


def head(*entries: Entry) -> Head:
    return Head(
        version=(1, 16),
        offset_size=8,
        compression="none",
        database="app",
        server_version="18",
        dump_version="18",
        codec="utf-8",
        entries=entries,
        raw=b"",
        beyond=b"",
    )


WHOLE = head(
    entry(1, "SCHEMA", "ext", schema=None),
    entry(2, "EXTENSION", "hstore", 1, schema=None),
    entry(3, "COMMENT", "EXTENSION hstore", 2, schema=None),
    entry(10, "TABLE", "tagged", 2),
    entry(11, "TABLE DATA", "tagged", 10),
    entry(12, "SEQUENCE", "tagged_id", 10),
    entry(13, "SEQUENCE SET", "tagged_id", 12),
    entry(20, "TABLE", "plain"),
    entry(21, "TABLE DATA", "plain", 20),
    entry(22, "POLICY", "plain by tag", 20, 10, defn='CREATE POLICY "by tag" ON public.plain'),
    entry(30, "VIEW", "both", 10, 20),
)


def fact(name: str, **changes: Any) -> TableFact:
    return TableFact(**{"schema": "public", "name": name, "kind": "table", "rows": 5, **changes})


MANIFEST = make_manifest(
    tables=(fact("tagged"), fact("plain", policies=("by tag",)), fact("of_extension", extension="hstore")),
    sequences=(SequenceFact(schema="public", name="tagged_id", before=1, after=1),),
    extensions=(ExtensionFact(name="hstore", version="1.8", schema="ext"),),
)


def shown(*heads: Head, missing: set[str], provided: Provided | None = None) -> Shown:
    return show(MANIFEST, heads, [NOTHING] * len(heads), missing, provided=provided)


def test_nothing_is_left_out_where_everything_is_there() -> None:
    seen = shown(WHOLE, missing=set())
    assert seen.lacking == ()
    assert seen.manifest == MANIFEST
    assert seen.adaptations == (NOTHING,)


def test_what_depends_on_a_missing_extension_goes_with_it() -> None:
    seen = shown(WHOLE, missing={"hstore"})
    (adapted,) = seen.adaptations
    assert adapted.left_out == {2, 3, 10, 11, 12, 13, 22, 30}
    assert adapted.policies_left_out == {("public", "plain", "by tag")}
    assert [table.name for table in seen.manifest.tables] == ["plain"]
    assert seen.manifest.sequences == ()
    assert seen.manifest.extensions == ()
    assert seen.lacking[0] == "extension hstore, which the server does not offer"
    assert "table public.tagged, which depends on that" in seen.lacking
    assert "view public.both, which depends on that" in seen.lacking


def test_rows_in_another_archive_go_too() -> None:
    rows = head(entry(1, "TABLE DATA", "tagged"), entry(2, "TABLE DATA", "plain"))
    seen = shown(head(*(each for each in WHOLE.entries if each.desc != "TABLE DATA")), rows, missing={"hstore"})
    assert seen.adaptations[1].left_out == {1}


def test_what_was_made_before_is_not_made_again_and_nothing_lacks() -> None:
    provided = Provided(extensions=frozenset({"hstore"}), schemas=frozenset({"ext"}))
    seen = shown(WHOLE, missing=set(), provided=provided)
    assert seen.adaptations[0].left_out == {1, 2, 3}
    assert seen.lacking == ()
    assert seen.manifest == MANIFEST


@pytest.mark.parametrize(
    ("desc", "defn", "forbidden"),
    [
        ("EVENT TRIGGER", "CREATE EVENT TRIGGER e", True),
        ("OPERATOR CLASS", "CREATE OPERATOR CLASS o", True),
        ("FUNCTION", "CREATE FUNCTION f() RETURNS int\n    LANGUAGE c\n    AS 'x', 'y';", True),
        ("FUNCTION", "CREATE FUNCTION f() RETURNS int\n    LANGUAGE plpython3u\n    AS $$", True),
        ("FUNCTION", "CREATE FUNCTION f() RETURNS int\n    LANGUAGE sql\n    AS $$ SELECT 1 -- LANGUAGE c\n$$", False),
        ("FUNCTION", "CREATE FUNCTION f() RETURNS text\n    LANGUAGE plpgsql\n    AS $$", False),
        ("TYPE", "CREATE TYPE public.t (\n    INTERNALLENGTH = 4,\n    INPUT = i", True),
        ("TYPE", "CREATE TYPE public.t AS (\n    a int\n);", False),
        ("PUBLICATION", "CREATE PUBLICATION p FOR ALL TABLES WITH (publish = 'insert');", True),
        ("PUBLICATION", "CREATE PUBLICATION p WITH (publish = 'insert');", False),
    ],
)
def test_what_takes_a_superuser_is_not_provable_on_a_private_server(desc: str, defn: str, forbidden: bool) -> None:
    it = head(entry(1, desc, "it", defn=defn))
    assert bool(shown(it, missing=set(), provided=Provided()).lacking) == forbidden
    assert not shown(it, missing=set()).lacking


def test_privileges_that_another_role_granted_are_a_loss_only() -> None:
    it = head(entry(1, "ACL", "TABLE t", defn="SET SESSION AUTHORIZATION r;\nGRANT SELECT ON TABLE t TO s;"))
    seen = shown(it, missing=set(), provided=Provided())
    assert seen.lacking == ()
    assert seen.adaptations[0].left_out == {1}
    assert len(seen.adaptations[0].losses) == 1


@pytest.mark.parametrize(
    ("expect", "value", "holds"),
    [
        (True, True, True),
        (True, 1, False),
        (True, None, False),
        (7, 7, True),
        ("7", 7, True),
        (7, 8, False),
        (1, True, False),
        ("None", None, False),
        ("a", "a", True),
    ],
)
def test_an_assertion_holds_where_the_value_is_the_expected_one(expect: Any, value: Any, holds: bool) -> None:
    assert Assertion(name="n", sql="", expect=expect).holds(value) == holds


def test_a_foreign_key_to_a_table_outside_of_the_backup_is_named() -> None:
    it = head(
        entry(1, "TABLE", "profile"),
        entry(
            2, "FK CONSTRAINT", "profile user", 1, defn="ADD CONSTRAINT u FOREIGN KEY (id) REFERENCES auth.users(id);"
        ),
        entry(
            3, "FK CONSTRAINT", "profile team", 1, defn="ADD CONSTRAINT t FOREIGN KEY (t) REFERENCES public.team(id);"
        ),
    )
    part = make_manifest(tables=(fact("profile"),), lacks=("function auth.uid()", "table auth.users"))
    seen = show(part, [it], [NOTHING], set(), provided=None)
    assert seen.adaptations[0].left_out == {2}
    assert seen.lacking == ("foreign key profile user: table auth.users is not in the backup",)
    assert seen.manifest == part
