# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ALTER TABLE does to those who use the table meanwhile (private to ops.runbooks); pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._migration.sql_calls import calls
from ansible_collections.ops.runbooks.plugins.module_utils._migration.sql_tokens import (
    Token,
    follows,
    outside_parentheses,
)

Verdict = Literal["additive", "uncertain", "breaking"]
_ORDER: Final = ("additive", "uncertain", "breaking")
#: First words after ADD that are no column.
_CONSTRAINTS: Final = ("constraint", "check", "unique", "primary", "foreign", "exclude", "not")
#: Functions whose value as a default is one for all rows, so that nothing has to be rewritten.
_STABLE: Final = frozenset(
    re.findall(
        r"\w+",
        "now current_timestamp current_time localtime localtimestamp statement_timestamp transaction_timestamp coalesce"
        " date_trunc jsonb_build_array jsonb_build_object lower make_interval upper",
    )
)
_SERIAL: Final = frozenset({"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"})
_REWRITES: Final = "rewrites the table, and locks everybody out of it meanwhile"

#: Constraints of a new column that lock everybody out of the table, by their words.
_LOCKING: Final = (
    ("unique", "ADD COLUMN ... UNIQUE builds an index, and locks everybody out of the table meanwhile"),
    ("primary", "ADD COLUMN ... PRIMARY KEY builds an index, and locks everybody out of the table meanwhile"),
    ("check", "ADD COLUMN ... CHECK reads all rows, and locks everybody out of the table meanwhile"),
)
#: First words of actions that are nobody's business but the table's own.
_WITHIN: Final = frozenset({"add", "alter", "validate", "owner", "enable", "disable", "force", "reset", "replica"})
#: Verdict and reason of an action, by its first words.
_ACTIONS: Final[dict[tuple[str, ...], tuple[Verdict, str]]] = {
    ("validate", "constraint"): ("additive", ""),
    ("set", "("): ("additive", ""),
    ("reset", "("): ("additive", ""),
    ("cluster", "on"): ("additive", ""),
    ("set", "without"): ("additive", ""),
    ("replica", "identity"): ("additive", ""),
    ("drop", "constraint"): ("uncertain", "DROP CONSTRAINT lets rows in that the serving release does not expect"),
    ("drop",): ("breaking", "DROP COLUMN takes a column away"),
    ("rename",): ("breaking", "RENAME takes a name away that the serving release may use"),
    ("set", "schema"): ("breaking", "SET SCHEMA takes the table from where the serving release looks for it"),
    ("set", "tablespace"): ("breaking", f"SET TABLESPACE {_REWRITES}"),
    ("set", "logged"): ("breaking", f"SET LOGGED {_REWRITES}"),
    ("set", "unlogged"): ("breaking", f"SET UNLOGGED {_REWRITES}, and the rows do not survive a crash"),
    ("set", "access"): ("breaking", f"SET ACCESS METHOD {_REWRITES}"),
    ("detach", "partition"): ("breaking", "DETACH PARTITION takes rows away from those who read the table"),
    ("attach", "partition"): ("uncertain", "ATTACH PARTITION locks both tables, and reads all rows of one of them"),
    ("enable",): ("uncertain", "ENABLE changes what the statements of others do"),
    ("disable",): ("uncertain", "DISABLE changes what the statements of others do"),
    ("force",): ("uncertain", "FORCE ROW LEVEL SECURITY hides rows"),
}
#: The same for ALTER COLUMN, by the words after the column's name.
_COLUMN_ACTIONS: Final[dict[tuple[str, ...], tuple[Verdict, str]]] = {
    ("set", "default"): ("additive", ""),
    ("drop", "not"): ("additive", ""),
    ("set", "statistics"): ("additive", ""),
    ("set", "storage"): ("additive", ""),
    ("set", "compression"): ("additive", ""),
    ("set", "("): ("additive", ""),
    ("reset", "("): ("additive", ""),
    ("set", "not"): ("breaking", "SET NOT NULL refuses rows that the serving release may write, and reads all of them"),
    ("type",): ("breaking", f"ALTER COLUMN ... TYPE retypes a column, and often {_REWRITES}"),
    ("set", "data"): ("breaking", f"ALTER COLUMN ... TYPE retypes a column, and often {_REWRITES}"),
}


def judge_alter_table(tokens: Sequence[Token]) -> tuple[Verdict, str, tuple[str, ...]]:
    """The verdict on all actions of an ALTER TABLE, why, and what else is worth knowing."""
    verdict: Verdict = "additive"
    reasons: list[str] = []
    warnings: list[str] = []
    for action in _actions(tokens):
        found, reason, warning = _judge_action(action)
        if _ORDER.index(found) > _ORDER.index(verdict):
            verdict, reasons = found, []
        if found == verdict and reason and reason not in reasons:
            reasons.append(reason)
        warnings += [warning] if warning else []
    return verdict, "; ".join(reasons), tuple(warnings)


def is_within(tokens: Sequence[Token]) -> bool:
    """Whether all that it does is the table's own: nothing is taken away, not even a name, and no other table joins."""
    first = [_words(action)[:2] for action in _actions(tokens)]
    return all(words == ["set", "("] or bool(_WITHIN & set(words[:1])) for words in first)


def _words(tokens: Sequence[Token]) -> list[str]:
    return [each.text if each.kind in ("word", "sign") else "" for each in tokens]


def _actions(tokens: Sequence[Token]) -> list[list[Token]]:
    """What follows the table's name, split at commas outside of parentheses."""
    words = _words(tokens)
    at = words.index("table") + 1
    while words[at : at + 1] and words[at] in ("if", "exists", "only"):
        at += 1
    at += 1
    while words[at : at + 1] == ["."]:
        at += 2
    at += words[at : at + 1] == ["*"]
    actions: list[list[Token]] = [[]]
    depth = 0
    for token, word in zip(tokens[at:], words[at:], strict=True):
        depth += {"(": 1, ")": -1}.get(word, 0)
        if word == "," and depth == 0:
            actions.append([])
        else:
            actions[-1].append(token)
    return actions


def _judge_action(action: Sequence[Token]) -> tuple[Verdict, str, str]:
    words = _words(action)
    if words[:1] == ["add"]:
        return _add(action[1:])
    if words[:1] == ["alter"] and words[1:2] != ["constraint"]:
        rest = words[2:] if words[1:2] == ["column"] else words[1:]
        return _known(_COLUMN_ACTIONS, rest[1:], f"ALTER COLUMN {' '.join(rest[1:3]).upper()}")
    return _known(_ACTIONS, words, f"ALTER TABLE {' '.join(words[:2]).upper()}")


def _known(
    table: dict[tuple[str, ...], tuple[Verdict, str]], words: Sequence[str], named: str
) -> tuple[Verdict, str, str]:
    for length in (2, 1):
        if (found := table.get(tuple(words[:length]))) is not None:
            return (*found, "")
    return "uncertain", f"{named.strip()} changes what is there", ""


def _add(tokens: Sequence[Token]) -> tuple[Verdict, str, str]:
    words = _words(tokens)
    if words[:1] and words[0] in _CONSTRAINTS:
        held = "" if follows(words, "not", "valid") else ", and reads all of them under a lock (NOT VALID would not)"
        return "uncertain", f"ADD CONSTRAINT refuses rows that the serving release may write{held}", ""
    rest = [word for word in outside_parentheses(words) if word != "column"]
    filled = "default" in rest and not follows(rest, "default", "null")
    given = filled or "generated" in rest or bool(_SERIAL & set(rest[:8]))
    if (follows(rest, "not", "null") or follows(rest, "primary", "key")) and not given:
        return (
            "breaking",
            "ADD COLUMN ... NOT NULL without DEFAULT refuses the rows that the serving release writes",
            "",
        )
    reasons = [reason for word, reason in _LOCKING if word in rest]
    if filled and "references" in rest:
        reasons.append(
            "ADD COLUMN ... DEFAULT ... REFERENCES reads all rows, and locks everybody out of them meanwhile"
        )
    warning = f"ADD COLUMN {_REWRITES}" if _rewrites(tokens, rest) else ""
    reasons += [warning] if warning else []
    return "uncertain" if reasons else "additive", "; ".join(reasons), warning


def _rewrites(tokens: Sequence[Token], rest: Sequence[str]) -> bool:
    """Whether a new column has to be written into each row: its value is another one in each."""
    if _SERIAL & set(rest[:8]) or ("generated" in rest and "virtual" not in rest[-1:]):
        return True
    if "default" not in rest:
        return False
    value = tokens[_words(tokens).index("default") + 1 :]
    return bool(calls(value) - _STABLE)
