# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How to restore a backup with stock tools only (private to ops.runbooks); pure. Part of every manifest."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    ArchiveFact,
    ByHand,
    DatabaseFact,
    ObjectFact,
    Selection,
    quote_identifier,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import table_name

#: What is encrypted goes through a pipe, so that it lies nowhere as it was.
_DECRYPT = 'age --decrypt --identity "${AGE_IDENTITY:?}"'


def by_hand(
    *,
    store_url: str,
    endpoint_url: str | None,
    archives: Sequence[ArchiveFact],
    roles: ObjectFact | None,
    database: DatabaseFact,
    selection: Selection,
    major: int,
) -> ByHand:
    """Shell commands in order: fetch, check, make the database, restore. libpq's PG* variables say where, and
    AGE_IDENTITY is the file with the identity where the backup is encrypted with age.

    The archive of a whole database makes it itself, with owner, settings, comment and privileges. That of a part makes
    the schemas it was told to hold, public too, which is there already; and none where it was told tables.
    """
    whole = selection.whole
    commands = []
    for archive in archives:
        commands += [
            _fetch(store_url, endpoint_url, archive.key, _file(archive)),
            _check(archive.sha256, _file(archive)),
        ]
    if roles is not None:
        commands += [_fetch(store_url, endpoint_url, roles.key, _file(roles)), *_roles(roles)]
    if not whole:
        commands += [_create(database, major), *_schemas(selection, database)]
    commands += _restore(archives, "--create --dbname=postgres" if whole else _dbname(database), _dbname(database))
    commands.append(f"vacuumdb --analyze-only {_dbname(database)}")
    return ByHand(commands=tuple(commands), needs_major=major)


def _roles(roles: ObjectFact) -> Iterator[str]:
    """Roles that exist already fail one by one, which is as it should be: hence no ON_ERROR_STOP.

    psql takes an input that breaks off for a whole one, so these are decrypted before it starts, and into no file.
    """
    if roles.age is None:
        yield f"psql --dbname=postgres --file={_file(roles)}"
        return
    yield f'roles="$({_DECRYPT} {_file(roles)})"'
    yield """printf '%s\\n' "$roles" | psql --dbname=postgres"""


def _schemas(selection: Selection, database: DatabaseFact) -> Iterator[str]:
    if "public" in selection.schemas:
        yield f"psql {_dbname(database)} --command='DROP SCHEMA public'"
    parents = {table_name(text, "tables").schema for text in selection.tables} - {"public"}
    for schema in sorted(parents):
        yield f"psql {_dbname(database)} " + shlex.quote(f"--command=CREATE SCHEMA {quote_identifier(schema)}")


def _restore(archives: Sequence[ArchiveFact], first: str, then: str) -> Iterator[str]:
    """One archive at once; of several the definitions, the rows, and what is made of rows: indexes, keys, triggers."""
    if len(archives) == 1:
        yield _restored(archives[0], first)
        return
    sections, *rows = archives
    yield _restored(sections, f"--section=pre-data {first}")
    for archive in rows:
        yield _restored(archive, then)
    yield _restored(sections, f"--section=post-data {then}")


def _restored(archive: ArchiveFact, options: str) -> str:
    """By pg_restore, which fails where its input breaks off because age has failed."""
    if archive.age is None:
        return f"pg_restore --exit-on-error {options} {_file(archive)}"
    return f"{_DECRYPT} {_file(archive)} | pg_restore --exit-on-error {options}"


def _file(stored: ArchiveFact | ObjectFact) -> str:
    return stored.key.rpartition("/")[2]


def _dbname(database: DatabaseFact) -> str:
    """As a connection string (manual, section 32.1.1), for which libpq would take a bare name with ``=`` in it."""
    escaped = database.name.replace("\\", "\\\\").replace("'", "\\'")
    return shlex.quote(f"--dbname=dbname='{escaped}'")


def _fetch(store_url: str, endpoint_url: str | None, key: str, to: str) -> str:
    if store_url.startswith("file://"):
        return f"cp {shlex.quote(unquote(store_url.removeprefix('file://')).rstrip('/') + '/' + key)} {to}"
    endpoint = f" --endpoint-url {shlex.quote(_without_user(endpoint_url))}" if endpoint_url else ""
    return f"aws s3 cp{endpoint} {shlex.quote(f'{store_url}/{key}')} {to}"


def _without_user(url: str) -> str:
    """A URL without user and password, which do not belong in a document."""
    scheme, mark, rest = url.rpartition("://")
    return scheme + mark + rest.rpartition("@")[2]


def _check(sha256: str, name: str) -> str:
    return f"echo '{sha256}  {name}' | sha256sum --check"


def _create(database: DatabaseFact, major: int) -> str:
    """createdb with the encoding and locale of the source; template0 is the only one that takes others."""
    options = ["--template=template0", f"--encoding={database.encoding}"]
    options += [f"--lc-collate={database.collate}", f"--lc-ctype={database.ctype}"]
    if database.locale_provider != "libc":
        options.append(f"--locale-provider={database.locale_provider}")
        if database.locale:
            options.append(f"--{database.locale_provider}-locale={database.locale}")
        if database.icu_rules and major >= 16:
            options.append(f"--icu-rules={database.icu_rules}")
    return shlex.join(["createdb", *options, database.name])
