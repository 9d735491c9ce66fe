# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What backups are made of, as values (private to ops.runbooks).

Everything here is frozen and knows nothing of connections or stores. :class:`Manifest` is the document that makes a
backup one; ``to_json`` and ``from_json`` are its only reader and writer.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.codec import decode, encode
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.extents import require_possible

#: The newest schema of manifests that this release reads.
MANIFEST_SCHEMA = 2
#: The schema of backups that everybody may read, and of those whose objects are encrypted: an earlier release, which
#: knows nothing of that, would take those for damaged.
OPEN_SCHEMA, SEALED_SCHEMA = 1, 2

#: Why a backup was taken; part of its index key.
KINDS = ("scheduled", "pre_deploy", "pre_migration", "pre_restore", "manual")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a session went: the server that was reached, as whom, and into which database."""

    host: str
    port: int
    user: str
    database: str
    socket: str | None = None
    sslmode: str | None = None
    ca_cert: str | None = None

    @property
    def label(self) -> str:
        """``db.example.com:5432/app``, as people read it in every result and failure."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.socket or host}:{self.port}/{self.database}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableName:
    """A table's or sequence's name as the catalog stores it: case and odd characters kept."""

    schema: str
    name: str

    @property
    def quoted(self) -> str:
        """The name for SQL; also a pg_dump pattern that matches exactly it (psql manual, "Patterns")."""
        return f"{quote_identifier(self.schema)}.{quote_identifier(self.name)}"

    @property
    def text(self) -> str:
        """The name for people, and as options take it: quoted only where it could be read otherwise."""
        return ".".join(quote_identifier(part) if set('."') & set(part) else part for part in (self.schema, self.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which part of a database a backup holds; all four empty is the whole database.

    Table names are texts as :attr:`TableName.text` gives them. Order and repetition mean nothing.
    """

    schemas: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    exclude_tables: tuple[str, ...] = ()
    exclude_table_data: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether this is all of the database."""
        return not (self.schemas or self.tables or self.exclude_tables or self.exclude_table_data)

    @property
    def hash(self) -> str:
        """Twelve hex digits that are equal for equal selections."""
        canonical = [sorted(set(getattr(self, each.name))) for each in fields(self)]
        return hashlib.sha256(json.dumps(canonical).encode()).hexdigest()[:12]

    def describe(self) -> str:
        """For a sentence: ``the whole database`` or what it is limited to."""
        if self.whole:
            return "the whole database"
        named = ((each.name, getattr(self, each.name)) for each in fields(self))
        return ", ".join(f"{name} {', '.join(sorted(set(values)))}" for name, values in named if values)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFact:
    """The server as it described itself. ``system_identifier`` survives restarts, upgrades of minors and failovers."""

    version: str
    major: int
    system_identifier: str
    host: str
    port: int
    in_recovery: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFact:
    """What ``pg_database`` and its satellites say; ``bytes`` is ``pg_database_size``.

    ``settings`` are ``name=value`` texts of ``ALTER DATABASE ... SET``; ``privileges`` an aclitem text each, where None
    means the built-in default; ``locale_provider`` is libc, icu or builtin.
    """

    name: str
    oid: int
    owner: str
    encoding: str
    locale_provider: str
    collate: str
    ctype: str
    locale: str | None = None
    icu_rules: str | None = None
    bytes: int = 0
    settings: tuple[str, ...] = ()
    privileges: tuple[str, ...] | None = None
    comment: str | None = None
    connection_limit: int = -1
    tablespace: str = "pg_default"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleFact:
    """A role that something in the backup names: attributes as ``CREATE ROLE`` spells them, never a password."""

    name: str
    attributes: tuple[str, ...] = ()
    member_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionFact:
    """An installed extension."""

    name: str
    version: str
    schema: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFact:
    """A table in the backup.

    ``kind`` is table, partitioned, matview or foreign. ``rows`` are those of the table alone (``FROM ONLY``) in the
    backup's snapshot; None where they were not counted (``rows_by`` none). ``data`` says whether the backup carries its
    rows. ``extension`` is the extension that owns the table; its rows are then only those that the extension marks.
    ``bytes`` is ``pg_table_size``.
    """

    schema: str
    name: str
    kind: str
    rows: int | None = None
    rows_by: str = "none"
    bytes: int = 0
    data: bool = True
    extension: str | None = None
    row_security: bool = False
    row_security_forced: bool = False
    policies: tuple[str, ...] = ()

    @property
    def table(self) -> TableName:
        """The table's name."""
        return TableName(schema=self.schema, name=self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceFact:
    """A sequence, which no snapshot covers: its last value before and after the dump (None: never drawn from).

    The restored value lies between the two, in the direction of ``increment``; after a wrap (``cycle``) anywhere.
    """

    schema: str
    name: str
    before: int | None
    after: int | None
    increment: int = 1
    cycle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFact:
    """A part of an archive that can be read by itself, in bytes: the head, or the rows of these entries (dump ids)."""

    offset: int
    bytes: int
    sha256: str
    entries: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeFact:
    """How an object is encrypted with age: how long it was before, in bytes, and its age header, which holds its key.

    No hash of what was encrypted is kept: whoever guesses at small tables could confirm the guess with it. The hash of
    the header binds the key, and by the key every part of the object is authenticated.
    """

    bytes: int
    header_bytes: int
    header_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFact:
    """One pg_dump archive: where it is, what it must hash to, what part it has in the backup.

    ``role`` is whole where the backup is one archive, else sections (the definitions, before and after the rows),
    rest, or table (the rows of the one that ``table`` names). ``entries`` is the number of entries in its table of
    contents. ``segments`` are all of it in their order, the head first; there are none where it has to be read whole.
    Where it is encrypted (``age``) they are of what was encrypted, and without hashes.
    """

    key: str
    bytes: int
    sha256: str
    entries: int
    format: str = "custom"
    role: str = "whole"
    table: str | None = None
    segments: tuple[SegmentFact, ...] = ()
    age: AgeFact | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFact:
    """Another object of the backup, such as the roles (``globals.sql``)."""

    key: str
    bytes: int
    sha256: str
    age: AgeFact | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeObjectsFact:
    """Large objects in the backup; ``bytes`` is what their table takes on the server."""

    count: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformFact:
    """Who manages the database: postgres (nobody), supabase or rds.

    ``managed_schemas`` are the platform's own, which a restore onto it must not touch; those
    ``managed_schemas_with_data`` hold the user's rows all the same, which a restore elsewhere needs.
    """

    name: str = "postgres"
    managed_schemas: tuple[str, ...] = ()
    managed_schemas_with_data: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationHead:
    """The newest migration that a known tool has recorded: ``runbooks``, ``prisma``, ``supabase``, ``drizzle``, ..."""

    tool: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """How to restore with stock tools only: shell commands in order, and the least major version of pg_restore."""

    commands: tuple[str, ...]
    needs_major: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The document whose existence makes a backup complete. Sizes are bytes, durations seconds, times UTC.

    ``state`` is complete, or suspect with ``suspect_reason``, as it was when the backup was taken; what became known
    since is in ``verdict``.
    """

    schema: int = OPEN_SCHEMA
    backup_id: str
    environment: str
    name: str
    kind: str
    run_token: str
    run_id: str
    created_at: datetime
    snapshot_at: datetime
    snapshot_lsn: str
    server: ServerFact
    tools: dict[str, str]
    database: DatabaseFact
    selection: Selection
    roles: tuple[RoleFact, ...] = ()
    extensions: tuple[ExtensionFact, ...] = ()
    archives: tuple[ArchiveFact, ...] = ()
    globals: ObjectFact | None = None
    tables: tuple[TableFact, ...] = ()
    sequences: tuple[SequenceFact, ...] = ()
    large_objects: LargeObjectsFact = LargeObjectsFact(count=0, bytes=0)
    migration_head: MigrationHead | None = None
    platform: PlatformFact = field(default_factory=PlatformFact)
    lacks: tuple[str, ...] = ()
    encryption: str = "none"
    age_recipients: tuple[str, ...] = ()
    compression: str = "zstd:1"
    durations: dict[str, float] = field(default_factory=dict)
    restore_by_hand: ByHand
    state: str = "complete"
    suspect_reason: str | None = None

    @property
    def bytes(self) -> int:
        """What the backup takes in the store."""
        return sum(each.bytes for each in self.archives) + (self.globals.bytes if self.globals else 0)

    @property
    def rows(self) -> int | None:
        """Rows counted in the snapshot; None where there are tables with rows and none of them was counted."""
        counted = [each.rows for each in self.tables if each.rows is not None]
        countable = any(each.data and each.kind == "table" for each in self.tables)
        return sum(counted) if counted or not countable else None

    @property
    def keys(self) -> tuple[str, ...]:
        """Every object that the backup consists of, the manifest apart."""
        return tuple(each.key for each in self.archives) + ((self.globals.key,) if self.globals else ())

    def to_json(self) -> dict[str, Any]:
        """The document, with the selection's hash beside its lists."""
        document: dict[str, Any] = encode(self)
        document["selection"]["hash"] = self.selection.hash
        return document

    @classmethod
    def from_json(cls, document: Any, where: str) -> Manifest:
        """Read a manifest; ``where`` names it for failures. Fields that this release does not know are passed over.

        Raises ``document_too_new`` and, where something is missing, of another type or impossible, ``object_corrupt``.
        """
        schema = document.get("schema") if isinstance(document, dict) else None
        if isinstance(schema, int) and schema > MANIFEST_SCHEMA:
            raise RunbookError(
                code="document_too_new",
                attempted="read the manifest of a backup",
                object=where,
                reason=f"it has schema {schema}, and this release knows schemas up to {MANIFEST_SCHEMA}",
                remedy="Install the release of ops.runbooks that wrote it, or a later one.",
            )
        try:
            manifest = decode(cls, document)
            require_possible(manifest)
            return manifest
        except (KeyError, TypeError, ValueError, RunbookError) as error:
            detail = error.reason if isinstance(error, RunbookError) else str(error)
            raise RunbookError(
                code="object_corrupt",
                attempted="read the manifest of a backup",
                object=where,
                reason=f"it is not a manifest: {detail}",
                remedy="Use another backup, and find out who changed this object.",
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupEntry:
    """What an index key says of a backup, so that lists need no manifest; ``mark`` is '', proven, suspect or held."""

    backup_id: str
    snapshot_at: datetime
    kind: str
    bytes: int
    selection_hash: str
    mark: str = ""


def quote_identifier(name: str) -> str:
    """``name`` as a delimited SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
