# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where an archive names roles, and the archive without some of them (private to ops.runbooks).

An archive names roles as owners, in grants, in default privileges, in policies and in user mappings. pg_restore can
leave out all owners or all grants, but not those of one role; here exactly that is decided: an entry loses what names a
role that is not there, and is left out altogether where nothing of it remains. The SQL is pg_dump's own
(``dumputils.c`` ``buildACLCommands``, ``pg_dump.c`` ``dumpPolicy``), so its shape is known.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Change, Entry

#: A quoted identifier, a string, a word, or one other character.
_TOKEN = re.compile(r'"(?:[^"]|"")*"|\'(?:[^\']|\'\')*\'|[^\s"\';,()]+|\S')
_IDENTIFIER = re.compile(r'"(?:[^"]|"")*"|[^\s"\';,()]+')
_GRANTS = frozenset({"ACL", "DEFAULT ACL"})
#: Kinds of objects whose owner pg_restore sets (``pg_backup_archiver.c``, ``_getObjectDescription``); other entries
#: carry an owner too, that of the object they belong to, and pg_restore never uses it.
OWNED = frozenset(
    """
    AGGREGATE|BLOB|BLOB METADATA|COLLATION|CONVERSION|DOMAIN|EVENT TRIGGER|FOREIGN DATA WRAPPER|FOREIGN TABLE|FUNCTION|
    MATERIALIZED VIEW|OPERATOR|OPERATOR CLASS|OPERATOR FAMILY|PROCEDURAL LANGUAGE|PROCEDURE|PUBLICATION|SCHEMA|SEQUENCE|
    SERVER|STATISTICS|SUBSCRIPTION|TABLE|TEXT SEARCH CONFIGURATION|TEXT SEARCH DICTIONARY|TYPE|VIEW
    """.replace("\n", "")
    .replace("    ", "")
    .split("|")
)
#: What pg_restore restores only with ``--create``, which is never used here.
_DATABASE = frozenset({"DATABASE", "DATABASE PROPERTIES"})


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of SQL and where it lies in its text."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduced:
    """An entry without some roles: what to change, or that nothing of it remains, and a sentence for each loss."""

    change: Change | None
    left_out: bool
    losses: tuple[str, ...]


def is_about_database(entry: Entry) -> bool:
    """Whether the entry describes the database itself, which a restore into a new database passes over."""
    return entry.desc in _DATABASE or (entry.desc in {"ACL", "COMMENT", "SECURITY LABEL"} and _of_database(entry.tag))


def roles_named(entries: Iterable[Entry], *, owners: bool = True, privileges: bool = True) -> frozenset[str]:
    """Every role that restoring ``entries`` needs. Owners and grants count only where they are to be restored."""
    named: set[str] = set()
    for entry in entries:
        if is_about_database(entry):
            continue
        if owners and entry.owner and entry.desc in OWNED:
            named.add(entry.owner)
        if entry.desc in _GRANTS:
            if privileges:
                named.update(*(statement.roles for statement in _statements(entry.defn or "")))
        elif entry.desc == "POLICY":
            named.update(unquote_identifier(token.text) for token in _policy_roles(entry.defn or ""))
        elif entry.desc == "USER MAPPING":
            named.update(_mapped_role(entry))
    return frozenset(named)


def granted(defn: str) -> dict[str, frozenset[str]]:
    """What the text of an ACL entry grants, by grantee, ``PUBLIC`` for everybody; what may be passed on has a ``*``."""
    found: dict[str, set[str]] = {}
    for statement in _statements(defn):
        words = [token.text for token in _tokens(statement.text.rstrip(";"))]
        if words[:1] != ["GRANT"]:
            continue
        passed_on = words[-3:] == ["WITH", "GRANT", "OPTION"]
        # Behind the name of a privilege is a comma, or the column in parentheses.
        rights = {word for word in words[1 : words.index("ON")] if word.isalpha() and word.isupper()}
        grantee = unquote_identifier(words[-4] if passed_on else words[-1])
        found.setdefault(grantee, set()).update(f"{word}*" if passed_on else word for word in rights)
    return {grantee: frozenset(rights) for grantee, rights in found.items()}


def without_roles(entry: Entry, missing: Collection[str]) -> Reduced:
    """``entry`` without what names one of the ``missing`` roles."""
    reduced = _reduced_body(entry, missing)
    if reduced.left_out or entry.desc not in OWNED or entry.owner not in missing:
        return reduced
    return Reduced(change=Change(owner=""), left_out=False, losses=(f"owner {entry.owner} of {_called(entry)}",))


def _reduced_body(entry: Entry, missing: Collection[str]) -> Reduced:
    if entry.desc in _GRANTS and not is_about_database(entry):
        return _reduced_grants(entry, missing)
    if entry.desc == "POLICY":
        return _reduced_policy(entry, missing)
    if entry.desc == "USER MAPPING" and (gone := [role for role in _mapped_role(entry) if role in missing]):
        return Reduced(change=None, left_out=True, losses=(f"user mapping of {gone[0]} ({entry.tag})",))
    return Reduced(change=None, left_out=False, losses=())


def _called(entry: Entry) -> str:
    place = f"{entry.namespace}." if entry.namespace else ""
    return f"{entry.desc} {place}{entry.tag}".removeprefix("ACL ").removeprefix("DEFAULT ACL ")


def _of_database(tag: str) -> bool:
    return tag.startswith("DATABASE ")


# grants


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statement:
    """One statement of an ACL entry. ``session`` is set where it begins (a role) or ends ('') a grantor's part."""

    text: str
    roles: frozenset[str]
    session: str | None = None


def _statements(sql: str) -> Iterator[_Statement]:
    start = 0
    tokens: list[Token] = []
    for token in _tokens(sql):
        if token.text != ";":
            tokens.append(token)
            continue
        if tokens:
            yield _statement(sql[start : token.end].strip(), [each.text for each in tokens])
        start, tokens = token.end, []


def _statement(text: str, words: list[str]) -> _Statement:
    if words[:3] == ["SET", "SESSION", "AUTHORIZATION"]:
        role = unquote_identifier(words[3])
        return _Statement(text=text, roles=frozenset({role}), session=role)
    if words[:3] == ["RESET", "SESSION", "AUTHORIZATION"]:
        return _Statement(text=text, roles=frozenset(), session="")
    roles: set[str] = set()
    if words[:5] == ["ALTER", "DEFAULT", "PRIVILEGES", "FOR", "ROLE"]:
        roles.add(unquote_identifier(words[5]))
    grantee = words[-4] if words[-3:] == ["WITH", "GRANT", "OPTION"] else words[-1]
    if grantee != "PUBLIC":
        roles.add(unquote_identifier(grantee))
    return _Statement(text=text, roles=frozenset(roles))


def _reduced_grants(entry: Entry, missing: Collection[str]) -> Reduced:
    """Statements that name no missing role; a grantor's part only where the grantor is there and grants something."""
    kept: list[str] = []
    gone: set[str] = set()
    grantor = ""
    opened = False
    for statement in _statements(entry.defn or ""):
        if statement.session is not None:
            if opened:
                kept.append("RESET SESSION AUTHORIZATION;")
            grantor, opened = statement.session, False
            continue
        if lost := {role for role in {grantor, *statement.roles} if role in missing}:
            gone |= lost
            continue
        if grantor and not opened:
            kept.append(f'SET SESSION AUTHORIZATION "{grantor.replace(chr(34), chr(34) * 2)}";')
            opened = True
        kept.append(statement.text)
    if opened:
        kept.append("RESET SESSION AUTHORIZATION;")
    if not gone:
        return Reduced(change=None, left_out=False, losses=())
    what = "default privileges" if entry.desc == "DEFAULT ACL" else "privileges"
    losses = tuple(f"{what} of {role} ({_called(entry)})" for role in sorted(gone))
    if not kept:
        return Reduced(change=None, left_out=True, losses=losses)
    return Reduced(change=Change(defn="\n".join(kept) + "\n"), left_out=False, losses=losses)


# policies


def _reduced_policy(entry: Entry, missing: Collection[str]) -> Reduced:
    """The policy for those of its roles that are there; left out where none is, since it then applied to nobody.

    A policy is never left out while one of its roles exists: without a restrictive one that role would see more.
    """
    sql = entry.defn or ""
    roles = list(_policy_roles(sql))
    gone = [unquote_identifier(token.text) for token in roles if unquote_identifier(token.text) in missing]
    if not gone:
        return Reduced(change=None, left_out=False, losses=())
    losses = tuple(f"role {role} of {_called(entry)}" for role in gone)
    kept = [token.text for token in roles if unquote_identifier(token.text) not in missing]
    if not kept:
        return Reduced(change=None, left_out=True, losses=losses)
    defn = sql[: roles[0].start] + ", ".join(kept) + sql[roles[-1].end :]
    return Reduced(change=Change(defn=defn), left_out=False, losses=losses)


def policy_name(entry: Entry) -> str:
    """The name of a policy, which the tag runs together with its table's."""
    return unquote_identifier([token.text for token in _tokens(entry.defn or "")][2])


def _policy_roles(sql: str) -> Iterator[Token]:
    """``CREATE POLICY name ON table [AS RESTRICTIVE] [FOR command] [TO role, ...] [USING ...] [WITH CHECK ...];``"""
    listing = False
    for token in _tokens(sql):
        if token.text in {"USING", "WITH", ";"}:
            return
        if listing and _IDENTIFIER.fullmatch(token.text) and token.text != "PUBLIC":
            yield token
        listing = listing or token.text == "TO"


# user mappings


def _mapped_role(entry: Entry) -> list[str]:
    """``CREATE USER MAPPING FOR role SERVER ...``; public, which pg_dump writes in lower case here, is no role."""
    words = [token.text for token in _tokens(entry.defn or "")]
    mapped = words[:4] == ["CREATE", "USER", "MAPPING", "FOR"] and words[4] != "public"
    return [unquote_identifier(words[4])] if mapped else []


# settings


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSetting:
    """What a role is set to in this database only; ``clause`` is ``SET name TO value`` as pg_dump wrote it."""

    role: str
    clause: str


def role_settings(entries: Iterable[Entry]) -> Iterator[RoleSetting]:
    """``ALTER ROLE role IN DATABASE database SET ...;`` of the entry that pg_restore uses only with ``--create``."""
    for entry in entries:
        if entry.desc != "DATABASE PROPERTIES":
            continue
        for statement in _statements(entry.defn or ""):
            tokens = list(_tokens(statement.text))
            words = [token.text for token in tokens]
            if words[:2] == ["ALTER", "ROLE"] and words[3:5] == ["IN", "DATABASE"] and words[6:7] == ["SET"]:
                yield RoleSetting(
                    role=unquote_identifier(words[2]), clause=statement.text[tokens[6].start :].rstrip(";")
                )


def _tokens(sql: str) -> Iterator[Token]:
    for found in _TOKEN.finditer(sql):
        yield Token(found.group(), found.start(), found.end())


def unquote_identifier(token: str) -> str:
    """The name that a piece of SQL stands for, quoted or not; pg_dump quotes whatever would be folded."""
    return token[1:-1].replace('""', '"') if token.startswith('"') else token
