# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a backup a drill can show on the server that it has (private to ops.runbooks). Pure.

What the server lacks is left out together with everything that depends on it, and is named: the rest is restored and
compared all the same, but such a drill proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Entry, Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive_roles import policy_name
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest, TableFact
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import Adaptation

#: What only a superuser can make, whatever it says (manual, notes of each CREATE statement).
_OF_SUPERUSERS = frozenset(
    {
        "ACCESS METHOD",
        "EVENT TRIGGER",
        "FOREIGN DATA WRAPPER",
        "OPERATOR CLASS",
        "OPERATOR FAMILY",
        "TEXT SEARCH PARSER",
        "TEXT SEARCH TEMPLATE",
        "TRANSFORM",
    }
)
#: pg_dump writes the language on the line behind the signature (``dumpFunc`` in ``pg_dump.c``).
_LANGUAGE = re.compile(r"^ {4}LANGUAGE (?P<name>\S+)", re.MULTILINE)
_UNTRUSTED = frozenset({"c", "internal", "plpython3u", "plpythonu", "plperlu", "pltclu"})
_ALL_TABLES = re.compile(r"\bFOR ALL (?:TABLES|SEQUENCES)\b|\bTABLES IN SCHEMA\b")
_BASE_TYPE = re.compile(r"^CREATE TYPE .* \(\s*(?:INTERNALLENGTH|INPUT)\b", re.DOTALL)
_RELATIONS = frozenset({"TABLE", "FOREIGN TABLE", "MATERIALIZED VIEW", "SEQUENCE"})
_NAMED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Provided:
    """What was made in the private server beforehand, so that the archive need not: extensions, and their schemas."""

    extensions: frozenset[str] = frozenset()
    schemas: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The part of a backup that can be restored. ``lacking`` says what the rest lacks; empty where there is no rest."""

    manifest: Manifest
    adaptations: tuple[Adaptation, ...]
    lacking: tuple[str, ...]


def wanted_extensions(heads: Collection[Head]) -> frozenset[str]:
    """The extensions that the archives create."""
    return frozenset(entry.tag for head in heads for entry in head.entries if entry.desc == "EXTENSION")


def show(
    manifest: Manifest,
    heads: Collection[Head],
    adaptations: Collection[Adaptation],
    missing: Collection[str],
    *,
    provided: Provided | None,
) -> Shown:
    """What is left where the extensions ``missing`` are not there.

    With ``provided`` it is an ordinary role of a private server that loads, to which some things are forbidden.
    """
    outside = [lack.removeprefix("table ") for lack in manifest.lacks if lack.startswith("table ")]
    reasons = [_roots(head, missing, ordinary=provided is not None) | _references(head, outside) for head in heads]
    left_out = [_closure(head, roots) for head, roots in zip(heads, reasons, strict=True)]
    gone = {key for head, ids in zip(heads, left_out, strict=True) for key in _names(head, ids, _RELATIONS)}
    for head, ids in zip(heads, left_out, strict=True):
        ids |= {entry.dump_id for entry in head.entries if entry.desc == "TABLE DATA" and _key(entry) in gone}
    emptied = {key for head, ids in zip(heads, left_out, strict=True) for key in _names(head, ids, {"TABLE DATA"})}
    changed = [
        _adapted(head, adaptation, ids, provided)
        for head, adaptation, ids in zip(heads, adaptations, left_out, strict=True)
    ]
    words = [*dict.fromkeys(word for roots in reasons for word in roots.values())]
    return Shown(
        manifest=_reduced(manifest, gone, emptied, missing),
        adaptations=tuple(changed),
        lacking=tuple([*words, *_consequences(heads, left_out, reasons)] if words else ()),
    )


def _roots(head: Head, missing: Collection[str], *, ordinary: bool) -> dict[int, str]:
    """Entries that cannot be restored by themselves, and why."""
    roots = {}
    for entry in head.entries:
        if entry.desc == "EXTENSION" and entry.tag in missing:
            roots[entry.dump_id] = f"extension {entry.tag}, which the server does not offer"
        elif ordinary and _forbidden(entry):
            roots[entry.dump_id] = f"{entry.desc.lower()} {entry.tag}, which takes a superuser"
    return roots


def _references(head: Head, outside: Collection[str]) -> dict[int, str]:
    """Foreign keys of a part of a database to tables ``outside`` of it, such as Supabase's ``auth.users``."""
    return {
        entry.dump_id: f"foreign key {entry.tag}: table {name} is not in the backup"
        for entry in head.entries
        if entry.desc == "FK CONSTRAINT"
        for name in outside
        if f"REFERENCES {name}(" in (entry.defn or "")
    }


def _forbidden(entry: Entry) -> bool:
    defn = entry.defn or ""
    if entry.desc in _OF_SUPERUSERS:
        return True
    if entry.desc in ("FUNCTION", "PROCEDURE", "PROCEDURAL LANGUAGE"):
        language = _LANGUAGE.search(defn)
        return entry.desc == "PROCEDURAL LANGUAGE" or (language is not None and language["name"] in _UNTRUSTED)
    if entry.desc == "TYPE":
        return _BASE_TYPE.search(defn) is not None
    return entry.desc.startswith("PUBLICATION") and _ALL_TABLES.search(defn) is not None


def _closure(head: Head, roots: Collection[int]) -> set[int]:
    """The entries ``roots`` and everything that depends on them, however indirectly."""
    dependents: dict[int, list[int]] = {}
    for entry in head.entries:
        for needed in entry.depends_on:
            dependents.setdefault(needed, []).append(entry.dump_id)
    found, waiting = set(roots), list(roots)
    while waiting:
        for each in dependents.get(waiting.pop(), []):
            if each not in found:
                found.add(each)
                waiting.append(each)
    return found


def _key(entry: Entry) -> tuple[str, str]:
    return entry.namespace or "", entry.tag


def _names(head: Head, ids: Collection[int], kinds: Collection[str]) -> set[tuple[str, str]]:
    return {_key(entry) for entry in head.entries if entry.dump_id in ids and entry.desc in kinds}


def _adapted(head: Head, adaptation: Adaptation, ids: set[int], provided: Provided | None) -> Adaptation:
    """Without what cannot be restored, and without what is there already."""
    ordinary, provided = provided is not None, provided or Provided()
    made = {
        entry.dump_id
        for entry in head.entries
        if (entry.desc == "EXTENSION" and entry.tag in provided.extensions)
        or (entry.desc == "SCHEMA" and entry.tag in provided.schemas)
        # Every new database has that one, and the dump of a part makes it all the same.
        or (entry.desc == "SCHEMA" and (entry.defn or "").startswith("CREATE SCHEMA public;"))
    }
    extensions = {entry.dump_id for entry in head.entries if entry.desc == "EXTENSION"} & made
    about = {
        entry.dump_id
        for entry in head.entries
        if entry.desc in ("ACL", "COMMENT", "SECURITY LABEL") and extensions.intersection(entry.depends_on)
    }
    foreign = {
        entry.dump_id: f"privileges on {entry.tag} that another role than its owner has granted"
        for entry in head.entries
        if ordinary and entry.desc in ("ACL", "DEFAULT ACL") and "SET SESSION AUTHORIZATION" in (entry.defn or "")
    }
    policies = {_policy(entry) for entry in head.entries if entry.desc == "POLICY" and entry.dump_id in ids}
    return replace(
        adaptation,
        left_out=adaptation.left_out | ids | made | about | foreign.keys(),
        losses=(*adaptation.losses, *foreign.values()),
        policies_left_out=adaptation.policies_left_out | policies,
    )


def _policy(entry: Entry) -> tuple[str, str, str]:
    name = policy_name(entry)
    return entry.namespace or "", entry.tag.removesuffix(f" {name}"), name


def _reduced(
    manifest: Manifest,
    gone: Collection[tuple[str, str]],
    emptied: Collection[tuple[str, str]],
    missing: Collection[str],
) -> Manifest:
    """What the restored part is to be compared with."""

    def kept(table: TableFact) -> TableFact:
        return replace(table, rows=None) if (table.schema, table.name) in emptied else table

    tables = [each for each in manifest.tables if (each.schema, each.name) not in gone]
    return replace(
        manifest,
        tables=tuple(kept(each) for each in tables if each.extension not in missing),
        sequences=tuple(each for each in manifest.sequences if (each.schema, each.name) not in gone),
        extensions=tuple(each for each in manifest.extensions if each.name not in missing),
    )


def _consequences(
    heads: Collection[Head], left_out: Collection[set[int]], reasons: Collection[Mapping[int, str]]
) -> list[str]:
    """What depends on that, by name; the first ones of many."""
    shown = [
        f"{entry.desc.lower()} {entry.namespace}.{entry.tag}, which depends on that"
        for head, ids, roots in zip(heads, left_out, reasons, strict=True)
        for entry in head.entries
        if entry.dump_id in ids
        and entry.dump_id not in roots
        and entry.namespace
        and entry.desc in _RELATIONS | {"VIEW"}
    ]
    more = len(shown) - _NAMED
    return shown[:_NAMED] + ([f"{more} more that depend on that"] if more > 0 else [])
