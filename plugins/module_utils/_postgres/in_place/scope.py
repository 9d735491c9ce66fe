# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a backup a restore in place puts back, and what it leaves alone (private to ops.runbooks). Pure.

The schemas that the backup has are emptied and filled again; the schemas themselves stay, since default privileges that
a platform has set in them could not be made again by anybody else. Schemas of the platform are not touched, and neither
is what belongs to no schema: extensions that are there, publications, servers, large objects.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Entry, Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive_roles import unquote_identifier
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    LargeObjectsFact,
    Manifest,
    Selection,
)

#: What an entry is called in the archive: kind, schema and tag.
Name = tuple[str, str, str]
_ABOUT = frozenset({"ACL", "COMMENT", "SECURITY LABEL"})
#: Whatever the archive says of these, a schema keeps what it has of them, since it is not dropped.
_OF_SCHEMA = frozenset({"PUBLICATION TABLES IN SCHEMA"})
#: What is said about a table, view or sequence, or about a column of one; names are quoted where they have to be.
_RELATION = re.compile(r'(?:(?:MATERIALIZED |FOREIGN )?(?:TABLE|VIEW)|SEQUENCE|COLUMN) (?P<name>"(?:[^"]|"")+"|[^".]+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What is there that a restore in place does not drop.

    ``schemas`` maps each to whether this role may change it; ``publications`` are those that it may change.
    ``regained`` are objects outside of the schemas that go with them, and that the backup can make again.
    """

    schemas: Mapping[str, bool]
    extensions: frozenset[str]
    publications: frozenset[str]
    roles: frozenset[str]
    regained: frozenset[Name] = frozenset()


def name_of(entry: Entry) -> Name:
    """How an entry is known in the archive and, by what it was made from, in the database."""
    return entry.desc, entry.namespace or "", entry.tag


def schemas_in(heads: Collection[Head], managed: Collection[str]) -> frozenset[str]:
    """Every schema that the archives have something of and that is nobody's but the user's."""
    found = {entry.namespace for head in heads for entry in head.entries if entry.namespace}
    found |= {entry.tag for head in heads for entry in head.entries if entry.desc == "SCHEMA"}
    return frozenset(
        name for name in found - set(managed) if not name.startswith("pg_") and name != "information_schema"
    )


def names_in(heads: Collection[Head]) -> frozenset[Name]:
    """Everything that the archives can make."""
    return frozenset(name_of(entry) for head in heads for entry in head.entries)


def part_of(manifest: Manifest, schemas: Collection[str]) -> Manifest:
    """What the manifest promises of these schemas. Rows of an extension's own tables stay as they are."""
    tables = tuple(each for each in manifest.tables if each.schema in schemas and each.extension is None)
    sequences = tuple(each for each in manifest.sequences if each.schema in schemas)
    return replace(
        manifest,
        tables=tables,
        sequences=sequences,
        extensions=(),
        large_objects=LargeObjectsFact(count=0, bytes=0),
        selection=Selection(schemas=tuple(sorted(schemas))),
    )


def head_of(
    head: Head, schemas: Collection[str], present: Present, of_extensions: Collection[tuple[str, str]]
) -> tuple[Head, tuple[str, ...]]:
    """The entries of an archive that are restored, and what of these schemas is not, in words.

    ``of_extensions`` are tables, views and sequences that belong to an extension, by schema and name.
    """
    losses: list[str] = []
    kept: dict[int, Entry] = {}
    for entry in head.entries:
        if not _belongs(entry, schemas, present, of_extensions):
            continue
        if loss := _cannot(entry, present):
            losses.append(loss)
            continue
        kept[entry.dump_id] = entry
    # What is said about something outside that comes back: its comment.
    regained = {each.dump_id for each in kept.values() if name_of(each) in present.regained}
    for entry in head.entries:
        if entry.desc in _ABOUT and regained.intersection(entry.depends_on):
            kept[entry.dump_id] = entry
    wanted = {needed for entry in kept.values() for needed in entry.depends_on}
    for entry in head.entries:
        if entry.desc == "EXTENSION" and entry.dump_id in wanted and entry.tag not in present.extensions:
            kept[entry.dump_id] = entry
    entries = tuple(entry for entry in head.entries if entry.dump_id in kept)
    return replace(head, entries=entries), tuple(losses)


def _belongs(
    entry: Entry, schemas: Collection[str], present: Present, of_extensions: Collection[tuple[str, str]]
) -> bool:
    if name_of(entry) in present.regained:
        return True
    if entry.desc == "SCHEMA":
        return entry.tag in schemas and entry.tag not in present.schemas
    if entry.desc in _ABOUT and entry.tag.startswith("SCHEMA "):
        return unquote_identifier(entry.tag.removeprefix("SCHEMA ")) in schemas
    if entry.desc in _OF_SCHEMA or (entry.namespace, _relation(entry)) in of_extensions:
        return False
    return entry.namespace in schemas


def _relation(entry: Entry) -> str:
    """The relation that an entry makes, fills, or says something about; where it is about something else, its tag."""
    found = _RELATION.match(entry.tag) if entry.desc in _ABOUT else None
    return unquote_identifier(found["name"]) if found else entry.tag


def _cannot(entry: Entry, present: Present) -> str | None:
    """What this role may not put back, or what has lost what it belongs to."""
    if entry.desc == "DEFAULT ACL" and entry.owner not in present.roles:
        return (
            f"default privileges of role {entry.owner} in schema {entry.namespace}, which only that role may set: "
            "they stay as they are"
        )
    if entry.desc in _ABOUT and entry.tag.startswith("SCHEMA "):
        name = unquote_identifier(entry.tag.removeprefix("SCHEMA "))
        if not present.schemas.get(name, True):
            what = "privileges" if entry.desc == "ACL" else "comment"
            return f"{what} of schema {name}, which belongs to another role: they stay as they are"
    # The tag is the name of the publication, a space, that of the table.
    ours = any(entry.tag.startswith(f"{name} ") for name in present.publications)
    if entry.desc == "PUBLICATION TABLE" and not ours:
        return f"a table in a publication that this role cannot change ({entry.tag})"
    return None


def foreign_grants(heads: Collection[Head]) -> tuple[str, ...]:
    """Privileges that another role than the owner has granted, which only a superuser can grant in its name."""
    return tuple(
        f"{entry.namespace}.{entry.tag}" if entry.namespace else entry.tag
        for head in heads
        for entry in head.entries
        if entry.desc == "ACL" and "SET SESSION AUTHORIZATION" in (entry.defn or "")
    )
