# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the files of a directory to migrations (private to ops.runbooks); pure.

``0001_name.sql``, or ``0001_name.up.sql`` with ``0001_name.down.sql`` beside it. What a file says of itself, the way
back too, stands in comments before its first statement::

    -- runbooks: phase=contract
    -- runbooks: no-transaction statement_timeout=2h
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._migration.model import CONTRACT, EXPAND, File, Migration
from ansible_collections.ops.runbooks.plugins.module_utils._migration.sql_check import Judged, judge
from ansible_collections.ops.runbooks.plugins.module_utils._migration.sql_tokens import (
    Statement,
    Unreadable,
    statements,
)

_SUFFIX = re.compile(r"(?:\.(?P<way>up|down))?\.sql$")
_NAME = re.compile(r"\d+[A-Za-z0-9_.-]*")
#: Longest name, as the ledger and the store take it.
_LONGEST = 128
_MARKER = re.compile(r"(?:^|(?<=\r))[ \t]*--[ \t]*runbooks:[ \t]*(?P<said>[^\r\n]*)", re.MULTILINE)
_HEADER = re.compile(r"(?:[ \t]*(?:--[^\r\n]*)?[\r\n])*(?:[ \t]*--[^\r\n]*)?")
_MARKERS = ("phase", "no-transaction", "lock_timeout", "statement_timeout")


def read_files(contents: Mapping[str, bytes], where: str) -> tuple[File, ...]:
    """The migrations among the files of a directory, in their order. Raises ``migration_unusable``."""
    ups: dict[str, str] = {}
    downs: dict[str, str] = {}
    raw: dict[str, bytes] = {}
    for filename in sorted(contents):
        match = _SUFFIX.search(filename)
        if match is None:
            continue
        name = filename[: match.start()]
        _check_name(name, filename, where)
        text = _decoded(contents[filename], filename, where)
        if match["way"] == "down":
            downs[name] = text
            _markers(f"{name}.down", text, where)
        elif name in ups:
            raise unusable(name, where, f"both {name}.sql and {name}.up.sql are there", "Remove one of them.")
        else:
            ups[name], raw[name] = text, contents[filename]
    if alone := sorted(set(downs) - set(ups)):
        raise unusable(alone[0], where, "its .down.sql has no .up.sql beside it", "Add that, or remove it.")
    found = [
        File(name=name, up=up, down=downs.get(name), checksum=checksum(raw[name]), markers=_markers(name, up, where))
        for name, up in ups.items()
    ]
    return tuple(sorted(found, key=lambda each: each.place))


def checksum(content: bytes) -> str:
    """SHA-256, by which a change is seen; how a checkout ends its lines is none."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def look_into(file: File, *, foreign: bool = False) -> Migration:
    """Take a migration apart and judge it. What is wrong with it is in ``refused``; nothing is raised.

    How one is run that is ``foreign`` is another tool's business, and only its phase is ours.
    """
    refused: list[str] = []
    try:
        found = statements(file.up)
    except Unreadable as error:
        found, refused = (), [str(error)]
    transaction = "no-transaction" not in file.markers
    judged = _judged(found)
    for statement, verdict in judged if not foreign else ():
        if verdict.refused:
            refused.append(f"line {statement.line}: {verdict.refused}")
        elif verdict.outside and transaction:
            refused.append(
                f"line {statement.line}: {statement.head} cannot run in a transaction, so that the file has to begin"
                " with `-- runbooks: no-transaction`"
            )
        elif verdict.session and not transaction:
            refused.append(
                f"line {statement.line}: {verdict.session} ends with the session, and a run that goes on in the middle"
                " of a file without a transaction has another one: write qualified names, limits as `-- runbooks:"
                " statement_timeout=2h`, and what needs more into a file in a transaction"
            )
    if not found and not refused and not foreign:
        refused.append("it has no statement")
    breaking = tuple(dict.fromkeys(v.reason for _s, v in judged if v.verdict == "breaking" and v.reason))
    uncertain = tuple(dict.fromkeys(v.reason for _s, v in judged if v.verdict == "uncertain"))
    refused += _undeclared(file, breaking, uncertain)
    return Migration(
        name=file.name,
        checksum=file.checksum,
        phase=file.phase or (CONTRACT if breaking else EXPAND),
        destructive=bool(breaking),
        transaction=transaction,
        statements=found,
        reasons=breaking + uncertain,
        warnings=tuple(f"{file.name}: {text}" for _statement, verdict in judged for text in verdict.warnings),
        refused=tuple(refused),
        blocks=tuple(dict.fromkeys(verdict.blocks for _statement, verdict in judged if verdict.blocks)),
        lock_timeout=_limit(file, "lock_timeout"),
        statement_timeout=_limit(file, "statement_timeout"),
    )


def _judged(found: Iterable[Statement]) -> list[tuple[Statement, Judged]]:
    """Each with its verdict. What is done to a table that the same file makes disturbs nobody.

    It is forgotten that a table was made as soon as its name may mean another one, or nothing any more.
    """
    made: set[str] = set()
    judged = []
    for statement in found:
        verdict = judge(statement)
        if verdict.on in made:
            verdict = replace(verdict, verdict="additive", reason="", warnings=(), blocks="")
        if verdict.session or verdict.opaque or statement.words[0] == "rollback":
            made.clear()
        if verdict.creates and verdict.verdict == "additive":
            made.add(verdict.creates)
        judged.append((statement, verdict))
    return judged


def look_into_down(file: File) -> tuple[Migration, list[Judged]]:
    """The way back of a migration, with the verdicts on its statements. It may take away whatever it wants to.

    Its header is its own: that an index is built outside of a transaction does not say how a table is emptied.
    """
    down = file.down or ""
    markers = {**_markers(f"{file.name}.down", down, "the source"), "phase": CONTRACT}
    found = look_into(File(name=file.name, up=down, checksum=file.checksum, markers=markers))
    return found, [judge(each) for each in found.statements]


def _undeclared(file: File, breaking: tuple[str, ...], uncertain: tuple[str, ...]) -> list[str]:
    """Why its phase cannot be what it says, or is left unsaid."""
    if file.phase == EXPAND and breaking:
        return [
            f"it is declared as expand, and yet {'; '.join(breaking)}: that is phase=contract, in a file of its own"
        ]
    if file.phase:
        return []
    if breaking:
        return [f"{'; '.join(breaking)}: begin the file with `-- runbooks: phase=contract`, to be run later"]
    if uncertain:
        return [
            f"{'; '.join(uncertain)}: begin the file with `-- runbooks: phase=expand` if the serving release keeps"
            " working after it, else with `-- runbooks: phase=contract`"
        ]
    return []


def _limit(file: File, name: str) -> timedelta | None:
    return parse_duration(file.markers[name], f"{name} of {file.name}") if name in file.markers else None


def _check_name(name: str, filename: str, where: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise unusable(
            filename,
            where,
            "names begin with a number, which is their order, and have letters, digits, '_', '.' and '-'",
            "Name it such as 0042_add_orders.up.sql.",
        )


def _decoded(content: bytes, filename: str, where: str) -> str:
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise unusable(filename, where, "it is not UTF-8", "Save it as UTF-8.") from error


def _markers(name: str, text: str, where: str) -> dict[str, str]:
    """What its header says. Raises ``migration_unusable`` for a word that nobody knows: it was meant to be one."""
    header = _HEADER.match(text)
    end = header.end() if header is not None else 0
    found: dict[str, str] = {}
    for marker in _MARKER.finditer(text):
        if marker.start() >= end:
            reason = f"`{marker[0].strip()}` stands behind its first statement, where it would not count"
            raise unusable(name, where, reason, "Move it to the beginning of the file.")
        found.update(_said(marker["said"], name, where))
    if found.get("phase", EXPAND) not in (EXPAND, CONTRACT):
        raise unusable(name, where, f"phase is expand or contract, not {found['phase']}", "Correct its header.")
    return found


def _said(text: str, name: str, where: str) -> Iterable[tuple[str, str]]:
    for word in text.replace(",", " ").split():
        key, _equals, value = word.partition("=")
        if key not in _MARKERS or bool(value) == (key == "no-transaction"):
            known = "phase=expand, phase=contract, no-transaction, lock_timeout=5s and statement_timeout=2h"
            raise unusable(
                name, where, f"`-- runbooks: {word}` means nothing; known are {known}", "Correct its header."
            )
        yield key, value


def unusable(name: str, where: str, reason: str, remedy: str) -> RunbookError:
    """The failure for a file that is no migration."""
    return RunbookError(
        code="migration_unusable",
        attempted=f"read the migration {name}",
        object=where,
        reason=reason,
        remedy=remedy,
    )
