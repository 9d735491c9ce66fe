# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a statement does to those who use the database meanwhile (private to ops.runbooks); pure.

Known statements that only add something are additive: the release that serves keeps working. What takes away, renames,
retypes, rewrites or empties is breaking. Everything else, and everything that is not known here, is uncertain, and its
author has to say which it is: a mistake of this check then costs a line, and never an outage.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from ansible_collections.ops.runbooks.plugins.module_utils._migration.sql_alter import (
    Verdict,
    is_within,
    judge_alter_table,
)
from ansible_collections.ops.runbooks.plugins.module_utils._migration.sql_calls import PURE, calls
from ansible_collections.ops.runbooks.plugins.module_utils._migration.sql_session import (
    doubt,
    refusal,
    set_in_code,
    settings,
)
from ansible_collections.ops.runbooks.plugins.module_utils._migration.sql_tokens import (
    Statement,
    follows,
    outside_parentheses,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One statement's verdict and why.

    ``outside``: it cannot run in a transaction. ``refused``: why no migration may have it, '' where it may. ``creates``
    is the table that it is sure to make, ``on`` the only one that it is about, ``blocks`` the one whose writers wait
    while it works, all as they are written. ``session`` is what it changes that ends with the session; ``opaque``: it
    runs code that nobody has looked into.
    """

    verdict: Verdict
    reason: str = ""
    warnings: tuple[str, ...] = ()
    outside: bool = False
    refused: str = ""
    blocks: str = ""
    creates: str = ""
    on: str = ""
    session: str = ""
    opaque: bool = False


#: First words of statements that begin or end transactions.
_TRANSACTIONS: Final = ("begin", "start", "commit", "end", "abort")
#: Objects that CREATE adds without a word of doubt, by the word that names their kind.
_ADDED: Final = frozenset(
    re.findall(
        r"\w+",
        "table sequence view materialized schema type domain extension function procedure aggregate operator collation"
        " conversion role user group publication statistics server foreign text language cast transform access",
    )
)
#: Words between CREATE and the kind.
_MODIFIERS: Final = frozenset(
    re.findall(
        r"\w+", "or replace global local temp temporary unlogged recursive unique trusted procedural default constraint"
    )
)
#: First words of statements that add or only say something.
_HARMLESS: Final = frozenset(
    {
        "comment",
        "analyze",
        "analyse",
        "grant",
        "security",
        "set",
        "reset",
        "show",
        "savepoint",
        "release",
        "rollback",
        "notify",
    }
)
#: What DROP takes away without anybody's query noticing it.
_UNSEEN: Final = frozenset({"trigger", "policy", "rule", "index", "statistics", "publication", "event"})
_LOSING: Final = ("drop", "truncate", "delete")


def judge(statement: Statement) -> Judged:
    """The verdict on one statement."""
    words = statement.words
    changed = settings(statement)
    if refused := _refusal(words) or refusal(changed):
        return Judged(verdict="breaking", refused=refused)
    found = _ruled(statement)
    if found.verdict == "additive" and (reason := doubt(changed)):
        found = replace(found, verdict="uncertain", reason=reason)
    return replace(found, session=f"SET {', '.join(changed)}") if changed else found


def _ruled(statement: Statement) -> Judged:
    first = statement.words[0]
    if first in _HARMLESS:
        return Judged(verdict="additive")
    rule = _RULES.get(first)
    if rule is None:
        reason = f"{first.upper() or 'a statement'} is not known to be harmless"
        return Judged(verdict="uncertain", reason=reason, opaque=True)
    return rule(statement)


def _refusal(words: Sequence[str]) -> str:
    first, second = (*words, "", "")[:2]
    back_to = first == "rollback" and "to" in words[:4]
    if first in _TRANSACTIONS or (first == "rollback" and not back_to) or (first, second) == ("prepare", "transaction"):
        named = " ".join(word for word in (first, second) if word.isalpha()).upper()
        return (
            f"{named} begins or ends a transaction, which is the runbook's own: each file is one, or none with"
            " `-- runbooks: no-transaction`"
        )
    if first == "copy" and "stdin" in words:
        return "COPY ... FROM STDIN needs rows that psql would send: write INSERT statements"
    if first == "discard":
        return "DISCARD takes the session's locks away, with which other runs are kept out"
    return ""


# --- CREATE ----------------------------------------------------------------------------------------------


def _create(statement: Statement) -> Judged:
    words = statement.words
    rest = list(words[1:])
    modifiers: set[str] = set()
    while rest and rest[0] in _MODIFIERS:
        modifiers.add(rest.pop(0))
    kind = rest[0] if rest else ""
    if kind == "index":
        return _index(statement, rest, unique="unique" in modifiers)
    if kind in ("database", "tablespace", "subscription"):
        return Judged(verdict="uncertain", reason=f"CREATE {kind.upper()} reaches beyond the database", outside=True)
    if "replace" in modifiers:
        return Judged(verdict="uncertain", reason=f"CREATE OR REPLACE {kind.upper()} changes what is there")
    if kind in ("trigger", "policy", "rule", "event"):
        reason = f"CREATE {kind.upper()} changes what the statements of others do"
        return Judged(verdict="uncertain", reason=reason, on=name_after(statement, "on"))
    if kind in _ADDED:
        found = _table(statement, rest) if kind in ("table", "materialized") else Judged(verdict="additive")
        temporary = {"temp", "temporary"} & modifiers or name_after(statement, kind).startswith("pg_temp.")
        return replace(found, creates="", session=f"a temporary {kind}") if temporary else found
    return Judged(verdict="uncertain", reason=f"CREATE {kind.upper()} is not known to be harmless")


def _table(statement: Statement, rest: Sequence[str]) -> Judged:
    """A table that may be there already is not taken for a new one, nor one that is a part of another."""
    outer = outside_parentheses(rest)
    made = name_after(statement, "table")
    if rest[1:4] == ["if", "not", "exists"] or rest[0] != "table" or "inherits" in outer:
        made = ""
    if "as" in outer:
        query = statement.tokens[statement.words.index("as") + 1 :]
        return replace(_rows(replace(statement, tokens=query)), creates=made)
    if follows(outer, "partition", "of"):
        parent = name_after(statement, "of")
        reason = f"CREATE TABLE ... PARTITION OF locks everybody out of {parent}, and reads its default partition"
        return Judged(verdict="uncertain", reason=reason, creates=made, on=parent)
    return Judged(verdict="additive", creates=made)


def _index(statement: Statement, rest: Sequence[str], *, unique: bool) -> Judged:
    concurrently = "concurrently" in rest[:2]
    table = name_after(statement, "on", skip=("only",))
    reason = f"a UNIQUE index on {table} refuses rows that the serving release may write" if unique else ""
    return Judged(
        verdict="uncertain" if unique else "additive",
        reason=reason,
        outside=concurrently,
        blocks="" if concurrently else table,
        on=table,
    )


def name_after(statement: Statement, word: str, skip: Sequence[str] = ()) -> str:
    """The (qualified) name after the first occurrence of a word, as SQL takes it; '' where there is none."""
    tokens = list(statement.tokens)
    at = next((n for n, each in enumerate(tokens) if each.kind == "word" and each.text == word), len(tokens)) + 1
    while at < len(tokens) and tokens[at].kind == "word" and tokens[at].text in skip:
        at += 1
    parts: list[str] = []
    while at < len(tokens) and tokens[at].kind in ("word", "quoted"):
        text = tokens[at].text
        parts.append('"' + text.replace('"', '""') + '"' if tokens[at].kind == "quoted" else text)
        if at + 1 >= len(tokens) or tokens[at + 1].text != "." or tokens[at + 1].kind != "sign":
            break
        at += 2
    return ".".join(parts)


# --- ALTER, DROP, rows -----------------------------------------------------------------------------------


def _alter(statement: Statement) -> Judged:
    words = statement.words
    kind = next((word for word in words[1:3] if word not in ("foreign", "materialized", "event", "default")), "")
    if kind == "table":
        verdict, reason, warnings = judge_alter_table(statement.tokens)
        named = name_after(statement, "table", skip=("if", "exists", "only"))
        on = named if is_within(statement.tokens) else ""
        return Judged(verdict=verdict, reason=reason, warnings=warnings, on=on)
    if kind == "type" and follows(words, "add", "value"):
        return Judged(verdict="additive")
    if kind == "sequence" and follows(words, "owned", "by"):
        return Judged(verdict="additive")
    if kind == "system":
        return Judged(verdict="uncertain", reason="ALTER SYSTEM changes the whole server", outside=True)
    named = f"ALTER {kind.upper()}"
    if "rename" in words and kind != "index":
        return Judged(
            verdict="breaking", reason=f"{named} ... RENAME takes a name away that the serving release may use"
        )
    if kind in ("type", "domain") or follows(words, "set", "schema"):
        return Judged(verdict="breaking", reason=f"{named} changes what the serving release may use")
    if words[1:3] == ("default", "privileges") and "revoke" not in words:
        return Judged(verdict="additive")
    return Judged(verdict="uncertain", reason=f"{named} changes what is there")


def _drop(statement: Statement) -> Judged:
    words = statement.words
    kind = next((word for word in words[1:] if word not in ("materialized", "foreign")), "")
    outside = kind in ("database", "tablespace", "subscription") or "concurrently" in words[:3]
    reason = f"DROP {kind.upper()} takes something away"
    return Judged(verdict="uncertain" if kind in _UNSEEN else "breaking", reason=reason, outside=outside)


def _truncate(_statement: Statement) -> Judged:
    return Judged(verdict="breaking", reason="TRUNCATE empties a table")


def _delete(_statement: Statement) -> Judged:
    return Judged(verdict="breaking", reason="DELETE takes rows away")


def _update(statement: Statement) -> Judged:
    if "where" in statement.words:
        return Judged(verdict="uncertain", reason="UPDATE changes rows")
    return Judged(verdict="breaking", reason="UPDATE without WHERE changes every row")


def _insert(statement: Statement) -> Judged:
    words = statement.words
    if follows(words, "do", "update"):
        return Judged(verdict="uncertain", reason="INSERT ... DO UPDATE changes rows")
    return _rows(statement)


def _rows(statement: Statement) -> Judged:
    """A statement that may be several in one: WITH, MERGE, INSERT of what a query finds."""
    words = set(statement.words)
    if words & {"delete", "truncate"}:
        return _delete(statement)
    if words & {"update", "merge"}:
        return Judged(verdict="uncertain", reason="it changes rows")
    return _called(statement) if "insert" in words else _select(statement)


def _select(statement: Statement) -> Judged:
    if "into" in statement.words:
        return Judged(verdict="uncertain", reason="SELECT ... INTO makes a table: write CREATE TABLE ... AS")
    return _called(statement)


def _called(statement: Statement) -> Judged:
    # What set_config sets is judged by itself.
    unknown = sorted(calls(statement.tokens) - PURE - {"set_config"})
    if not unknown:
        return Judged(verdict="additive")
    reason = f"it calls {', '.join(unknown)}, and a function may do anything"
    return Judged(verdict="uncertain", reason=reason, opaque=True)


def _opaque(statement: Statement) -> Judged:
    """What code does is not looked into, but for words that nobody overlooks."""
    first = statement.words[0].upper()
    code = " ".join(each.text for each in statement.tokens if each.kind == "string").lower().split()
    lost = next((word for word in _LOSING if word in code), "")
    session = f"SET in the code of {first}" if set_in_code(statement) else ""
    if lost:
        reason = f"{first} has {lost.upper()} in its code"
        return Judged(verdict="breaking", reason=reason, session=session, opaque=True)
    reason = f"what the code of {first} does is not looked into"
    return Judged(verdict="uncertain", reason=reason, session=session, opaque=True)


def _vacuum(statement: Statement) -> Judged:
    if "full" in statement.words:
        reason = "VACUUM FULL locks everybody out of the table while it rewrites it"
        return Judged(verdict="breaking", reason=reason, outside=True)
    return Judged(verdict="additive", outside=True)


def _cluster(_statement: Statement) -> Judged:
    return Judged(
        verdict="breaking", reason="CLUSTER locks everybody out of the table while it rewrites it", outside=False
    )


def _reindex(statement: Statement) -> Judged:
    if "concurrently" in statement.words:
        return Judged(verdict="additive", outside=True)
    return Judged(verdict="uncertain", reason="REINDEX blocks writers; REINDEX ... CONCURRENTLY does not")


def _refresh(statement: Statement) -> Judged:
    if "concurrently" in statement.words:
        return Judged(verdict="additive")
    return Judged(verdict="uncertain", reason="REFRESH MATERIALIZED VIEW locks its readers out; CONCURRENTLY does not")


def _revoke(_statement: Statement) -> Judged:
    return Judged(verdict="uncertain", reason="REVOKE takes a right away")


def _import(_statement: Statement) -> Judged:
    return Judged(verdict="additive")


_RULES: Final = {
    "create": _create,
    "alter": _alter,
    "drop": _drop,
    "truncate": _truncate,
    "delete": _delete,
    "update": _update,
    "insert": _insert,
    "merge": _rows,
    "with": _rows,
    "select": _select,
    "do": _opaque,
    "call": _opaque,
    "vacuum": _vacuum,
    "cluster": _cluster,
    "reindex": _reindex,
    "refresh": _refresh,
    "revoke": _revoke,
    "import": _import,
}
