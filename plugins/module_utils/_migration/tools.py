# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Other tools that run migrations (private to ops.runbooks): Prisma's and Supabase's, by their own commands.

What they have done is read from the tables in which they write it down, never from what they say. Of their verbs those
are let through that bring a database forward; those that reset it are not, however they are spelled.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.process import capture
from ansible_collections.ops.runbooks.plugins.module_utils._migration.model import (
    APPLIED,
    EXPAND,
    STARTED,
    File,
    Ledger,
    Row,
    place,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session

#: What each tool's table is, and what brings it forward.
FORWARD: Final[Mapping[str, tuple[str, ...]]] = {
    "prisma": ("prisma", "migrate", "deploy"),
    "supabase": ("supabase", "migration", "up"),
}
_TABLES: Final = {"prisma": "_prisma_migrations", "supabase": "supabase_migrations.schema_migrations"}
_PRISMA = """
SELECT migration_name, checksum, finished_at IS NOT NULL, rolled_back_at IS NOT NULL,
       date_part('epoch', coalesce(finished_at, started_at)) FROM _prisma_migrations ORDER BY started_at, id"""
_SUPABASE = "SELECT version::text FROM supabase_migrations.schema_migrations ORDER BY version"
#: What starts a tool: its own path, or a package manager that finds it.
_LAUNCHERS: Final = frozenset(("npx", "pnpm", "yarn", "bunx", "npm"))
_LAUNCHER_WORDS: Final = frozenset(("exec", "dlx", "--", "--yes", "-y", "--no-install", "--no", "--silent", "-s"))
_OPTIONS: Final = {
    "prisma": frozenset(("--schema", "--config")),
    "supabase": frozenset(("--linked", "--local", "--workdir", "--include-all", "--yes")),
}
_WITH_VALUE: Final = frozenset(("--schema", "--config", "--workdir"))
_RESTORE = "Write a new migration that puts it right, or restore a backup into a new database (ops.runbooks.restore)."
_PUSH = "Make a migration of the change, and let that be run."
#: Verbs that somebody may try, and what to do instead.
_INSTEAD: Final[tuple[tuple[re.Pattern[str], str, str], ...]] = tuple(
    (re.compile(pattern), reason, remedy)
    for pattern, reason, remedy in (
        (r"\bmigrate reset\b|\bdb reset\b", "it drops the database and all that is in it", _RESTORE),
        (r"\bdb push\b|--accept-data-loss", "it changes the schema without a migration, and may lose data", _PUSH),
        (r"\bmigrate dev\b", "it is for developers, and resets the database where it sees a difference", _PUSH),
        (r"\bmigrate resolve\b", "it only changes what is recorded", "Use state=resolved, for a failed migration."),
        (r"\bmigration (?:down|repair)\b", "it takes back what is recorded, or what is there", _RESTORE),
        (r"\bdb (?:seed|execute)\b", "it changes rows and not the schema", "Write it into a migration."),
        (
            r"--db-url\b",
            "everybody on this machine can read the password in --db-url",
            "Take it away, and give --linked.",
        ),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command that was let through: what starts the tool, the tool, its options."""

    tool: str
    launcher: tuple[str, ...]
    options: tuple[str, ...]

    def line(self, *verbs: str) -> list[str]:
        """The command line, with other verbs where they are given."""
        return [*self.launcher, *(verbs or FORWARD[self.tool][1:]), *self.options]


def check_command(given: Sequence[str], tool: str) -> Command:
    """Let a command through that brings a database forward. Raises ``command_refused``."""
    words = [str(word) for word in given]
    text = " ".join(words)
    for pattern, reason, remedy in _INSTEAD:
        if pattern.search(text):
            raise _refused(words, reason, remedy)
    at = 0
    if words and os.path.basename(words[0]) in _LAUNCHERS:
        at = 1
        while at < len(words) and words[at] in _LAUNCHER_WORDS:
            at += 1
    named = os.path.basename(words[at]) if at < len(words) else ""
    verbs = tuple(words[at + 1 : at + 3])
    wanted = FORWARD[tool]
    if (named, *verbs) != wanted:
        reason = f"what it does is not known; what brings a database forward is {' '.join(wanted)}"
        raise _refused(words, reason, f"Write command as [npx, {', '.join(wanted)}], without a script around it.")
    options = tuple(words[at + 3 :])
    _check_options(options, tool, words)
    return Command(tool=tool, launcher=tuple(words[: at + 1]), options=options)


def _check_options(options: Sequence[str], tool: str, words: Sequence[str]) -> None:
    value_of = ""
    for word in options:
        name = word.partition("=")[0]
        if value_of:
            value_of = ""
        elif name not in _OPTIONS[tool]:
            known = ", ".join(sorted(_OPTIONS[tool]))
            raise _refused(words, f"{_named(name)} is not one of {known}", "Take it away.")
        elif name in _WITH_VALUE and "=" not in word:
            value_of = name


def elsewhere(command: Command, chdir: str | None, identity: Mapping[str, str], port: int) -> str:
    """Why Supabase's command would go to another database than the one that was reached; '' where it goes there.

    It takes no address from its environment: it goes to the project to which its directory is linked, and without
    --linked to a database on this machine. ``identity`` is what a name is bound to (``Connector.identity``).
    """
    if command.tool != "supabase":
        return ""
    project = _workdir(command, chdir) / "supabase"
    host, linked = identity["host"], "--linked" in command.options
    if linked == ("--local" in command.options):
        return "it goes to a database on this machine or to the project that is linked: it has to say which (--linked)"
    if not linked:
        config = _toml(project / "config.toml").get("db")
        its = config.get("port", _LOCAL_PORT) if isinstance(config, Mapping) else _LOCAL_PORT
        here = host in _LOOPBACK or host.startswith("/")
        return "" if here and its == port else f"--local goes to 127.0.0.1:{its}, and the connection to {host}:{port}"
    file = project / ".temp" / "project-ref"
    try:
        ref = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return f"--linked goes to the project that {file} names, which cannot be read: supabase link writes it"
    if ref != identity.get("project"):
        return f"--linked goes to the project {ref}, and the connection to {identity.get('project') or host}"
    return "" if identity["database"] == "postgres" else f"--linked goes to postgres, not to {identity['database']}"


#: Where Supabase's command finds the database of a developer, and how a connection to that is written.
_LOCAL_PORT = 54322
_LOOPBACK: Final = frozenset(("localhost", "127.0.0.1", "::1"))


def _workdir(command: Command, chdir: str | None) -> Path:
    """The directory that a command works in, by --workdir too."""
    place = Path(chdir or ".")
    for word, following in zip(command.options, (*command.options, "")[1:], strict=True):
        name, equals, value = word.partition("=")
        if name == "--workdir":
            place = Path(chdir or ".") / (value if equals else following)
    return place


def _toml(file: Path) -> Mapping[str, Any]:
    import tomllib

    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def read(session: Session, tool: str, files: Sequence[File]) -> Ledger:
    """What a tool has recorded, as the ledger that it is."""
    found = session.value("SELECT to_regclass(%s) IS NOT NULL", (_TABLES[tool],), attempted=f"look for {_TABLES[tool]}")
    if not found:
        return Ledger(exists=False)
    phases = {each.name: each.phase or EXPAND for each in files}
    rows = _prisma(session) if tool == "prisma" else _supabase(session, files)
    known = [replace(row, phase=phases.get(row.name, EXPAND)) for row in rows]
    return Ledger(exists=True, rows=tuple(sorted(known, key=lambda row: place(row.name))))


def _prisma(session: Session) -> list[Row]:
    """The last entry of each name counts; one that was rolled back is none."""
    rows: dict[str, Row] = {}
    for name, checksum, finished, rolled_back, seconds in session.rows(_PRISMA, attempted="read _prisma_migrations"):
        rows.pop(name, None)
        if rolled_back:
            continue
        rows[name] = Row(
            name=name,
            checksum=checksum,
            phase=EXPAND,
            state=APPLIED if finished else STARTED,
            failed=not finished,
            applied_at=datetime.fromtimestamp(seconds, UTC),
        )
    return list(rows.values())


def _supabase(session: Session, files: Sequence[File]) -> list[Row]:
    """It records versions alone, so that a file that was changed cannot be told from one that was not."""
    names = {each.name.partition("_")[0]: each for each in files}
    found = session.rows(_SUPABASE, attempted="read supabase_migrations.schema_migrations")
    rows = []
    for (version,) in found:
        file = names.get(version)
        checksum = file.checksum if file is not None else ""
        rows.append(
            Row(name=file.name if file is not None else version, checksum=checksum, phase=EXPAND, state=APPLIED)
        )
    return rows


def run(
    command: Command, verbs: Sequence[str], *, url: str, chdir: str | None, timeout: float, context: Context
) -> None:
    """Let the tool do it. Raises ``migration_failed`` with the last of what it said."""
    context.redactor.protect(url)
    environment = {"DATABASE_URL": url, "DIRECT_URL": url, "CI": "1", "PRISMA_HIDE_UPDATE_MESSAGE": "1"}
    environment |= {name: os.environ[name] for name in _PASSED if name in os.environ}
    for name in _PASSED:
        context.redactor.protect(os.environ.get(name))
    done = capture(command.line(*verbs), context=context, env=environment, timeout=timeout, cwd=chdir)
    if done.status == 0:
        return
    said = [line.strip() for line in (done.stderr or context.redactor.text(done.stdout)).splitlines() if line.strip()]
    raise RunbookError(
        code="migration_failed",
        attempted="run migrations",
        object=" ".join([command.tool, *verbs] if verbs else FORWARD[command.tool]),
        reason=f"it ended with status {done.status}, and said: {' / '.join(said[-3:])[:400] or 'nothing'}",
        remedy="Correct the migration, or what it met. A failed one of Prisma's is cleared with state=resolved and"
        " resolve_as=rolled_back once what it left is gone; then run the same command again.",
    )


#: What Supabase's command needs for a project that is linked.
_PASSED: Final = ("SUPABASE_ACCESS_TOKEN", "SUPABASE_DB_PASSWORD")


def _refused(words: Sequence[str], reason: str, remedy: str) -> RunbookError:
    """The failure for a command line; of that only the verbs, since what follows may be a password."""
    verbs = takewhile(lambda word: not word.startswith("-") and "=" not in word and "://" not in word, words)
    shown = " ".join(verbs) or "command"
    return RunbookError(code="command_refused", attempted="run a command", object=shown, reason=reason, remedy=remedy)


def _named(option: str) -> str:
    """An option for a sentence. What sticks to a short one may be a password, and a word that is none as well."""
    return option if option.startswith("--") else option[:2] if option.startswith("-") else "a word without an option"


def url_of(params: Mapping[str, Any], source: str, keywords: Mapping[str, str]) -> str:
    """The connection as a URL, for a tool that takes nothing else: as it was given, else put together."""
    from urllib.parse import quote

    given = params.get("database_url") or os.environ.get(source, "")
    if "://" in given:
        return str(given)
    host = keywords.get("host", "localhost")
    socket = host.startswith("/")
    user, password = quote(keywords.get("user", ""), safe=""), quote(keywords.get("password", ""), safe="")
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    query = [f"host={quote(host, safe='')}"] if socket else []
    query += [f"{name}={quote(keywords[name], safe='/')}" for name in ("sslmode", "sslrootcert") if name in keywords]
    place = (
        f"{'localhost' if socket else host}:{keywords.get('port', '5432')}/{quote(keywords.get('dbname', ''), safe='')}"
    )
    return f"postgresql://{login}{place}{'?' + '&'.join(query) if query else ''}"
