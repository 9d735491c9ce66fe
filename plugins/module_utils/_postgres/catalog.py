# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts for the manifest, read from the system catalogs (private to ops.runbooks).

All of them are read in the backup's own snapshot, by a session whose search path is empty. Rows of ``pg_database`` are
read as JSON, because their columns differ between the versions (14 to 18).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    DatabaseFact,
    ExtensionFact,
    LargeObjectsFact,
    MigrationHead,
    RoleFact,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import Relation, batches

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session

_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}

#: Also asked in sessions whose search path is not ours yet, hence the qualified names, of operators too: a database's
#: owner can put a schema of his before pg_catalog.
_DATABASE = """
SELECT pg_catalog.to_jsonb(d), d.oid::pg_catalog.int8, pg_catalog.pg_get_userbyid(d.datdba),
       pg_catalog.pg_encoding_to_char(d.encoding), pg_catalog.pg_database_size(d.oid),
       pg_catalog.shobj_description(d.oid, 'pg_database'), t.spcname,
       coalesce((SELECT s.setconfig FROM pg_catalog.pg_db_role_setting s
                 WHERE s.setdatabase OPERATOR(pg_catalog.=) d.oid
                   AND s.setrole OPERATOR(pg_catalog.=) 0::pg_catalog.oid), '{}')
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid OPERATOR(pg_catalog.=) d.dattablespace
WHERE d.datname OPERATOR(pg_catalog.=) coalesce(%s::pg_catalog.name, pg_catalog.current_database())"""

#: pg_shdepend knows each role that an owner, a grant, a default privilege or a policy of this database names, except
#: the bootstrap superuser (oid 10), whose dependencies are not recorded; then every role that those are members of.
#: Predefined roles exist on every server.
_ROLES = """
WITH RECURSIVE here AS (SELECT oid, datdba, datacl FROM pg_database WHERE datname = current_database()),
acls(owner, acl) AS (
    SELECT relowner, relacl FROM pg_class WHERE oid >= 16384 UNION ALL
    SELECT nspowner, nspacl FROM pg_namespace WHERE oid >= 16384 OR nspname = 'public' UNION ALL
    SELECT proowner, proacl FROM pg_proc WHERE oid >= 16384 UNION ALL
    SELECT typowner, typacl FROM pg_type WHERE oid >= 16384
),
named(oid) AS (
    SELECT s.refobjid FROM pg_shdepend s, here
    WHERE s.refclassid = 'pg_authid'::regclass
      AND (s.dbid = here.oid OR (s.classid = 'pg_database'::regclass AND s.objid = here.oid))
    UNION SELECT datdba FROM here
    UNION SELECT a.grantee FROM here, aclexplode(here.datacl) a
    UNION SELECT s.setrole FROM pg_db_role_setting s JOIN here ON s.setdatabase = here.oid
    UNION SELECT 10 WHERE EXISTS (SELECT FROM acls WHERE owner = 10)
                       OR EXISTS (SELECT FROM acls, aclexplode(acls.acl) a WHERE a.grantee = 10)
    UNION SELECT m.roleid FROM pg_auth_members m JOIN named ON m.member = named.oid
)
SELECT r.rolname,
       array_remove(ARRAY[CASE WHEN r.rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END,
           CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
           CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
           CASE WHEN r.rolreplication THEN 'REPLICATION' END, CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END,
           CASE WHEN NOT r.rolinherit THEN 'NOINHERIT' END], NULL),
       ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
             WHERE m.member = r.oid ORDER BY 1)
FROM pg_roles r WHERE r.oid IN (SELECT oid FROM named) AND r.rolname !~ '^pg_' ORDER BY 1"""

_EXTENSIONS = """
SELECT x.extname, x.extversion, n.nspname
FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace ORDER BY 1"""

_LARGE_OBJECTS = "SELECT count(*), pg_total_relation_size('pg_largeobject') FROM pg_largeobject_metadata"

#: Large objects whose content the role may not read; has_largeobject_privilege() exists from 18 on only.
_UNREADABLE_LARGE_OBJECTS = """
SELECT count(*) FROM pg_largeobject_metadata m
WHERE NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AND NOT pg_has_role(m.lomowner, 'USAGE')
  AND NOT EXISTS (SELECT FROM aclexplode(m.lomacl) a WHERE a.privilege_type = 'SELECT'
                  AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))"""

_TABLES = """
SELECT c.oid::int8, pg_relation_size(c.oid), pg_table_size(c.oid),
       ARRAY(SELECT p.polname::text FROM pg_policy p WHERE p.polrelid = c.oid ORDER BY 1)
FROM pg_class c WHERE c.oid = ANY (%s::oid[])"""

#: Reading a sequence locks it until the statement ends; the server's lock table is not made for thousands at once.
_SEQUENCES_AT_ONCE = 200
_SEQUENCES = """
SELECT s.seqrelid::int8, pg_sequence_last_value(s.seqrelid), s.seqincrement, s.seqcycle
FROM pg_sequence s WHERE s.seqrelid = ANY (%s::oid[])"""

#: Tables partitioned by the hash of an enum, as pg_dump finds them (``pg_dump.c``, ``getPartitioningInfo``): hashes of
#: enums differ from database to database, so it loads their partitions through the root.
_LOADED_THROUGH_ROOT = """
WITH RECURSIVE unsafe(oid) AS (
    SELECT p.partrelid FROM pg_partitioned_table p
    WHERE EXISTS (SELECT FROM pg_opclass c JOIN pg_am m ON m.oid = c.opcmethod
                  WHERE c.opcname = 'enum_ops' AND c.opcnamespace = 'pg_catalog'::regnamespace AND m.amname = 'hash'
                    AND c.oid = ANY (p.partclass))
    UNION SELECT i.inhrelid FROM pg_inherits i JOIN unsafe u ON i.inhparent = u.oid
)
SELECT oid::int8 FROM unsafe"""

_OWN_TYPES = """
SELECT NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
                   AND a.atttypid >= 16384)"""

#: Where tools that change schemas write down what they did: the newest finished entry of each.
_MIGRATION_TABLES = (
    (
        "runbooks",
        "ops_runbooks",
        "migrations",
        "name",
        "state = 'applied'",
        "(substring(name FROM '^[0-9]+'))::pg_catalog.numeric DESC, name",
    ),
    (
        "prisma",
        "public",
        "_prisma_migrations",
        "migration_name",
        "finished_at IS NOT NULL AND rolled_back_at IS NULL",
        "finished_at",
    ),
    ("supabase", "supabase_migrations", "schema_migrations", "version", "true", "version"),
    ("drizzle", "drizzle", "__drizzle_migrations", "hash", "true", "created_at"),
    ("knex", "public", "knex_migrations", "name", "true", "id"),
    ("alembic", "public", "alembic_version", "version_num", "true", "version_num"),
    ("django", "public", "django_migrations", "app || '.' || name", "true", "id"),
    ("flyway", "public", "flyway_schema_history", "version", "success AND version IS NOT NULL", "installed_rank"),
    ("schema_migrations", "public", "schema_migrations", "version", "true", "version"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSize:
    """What a table takes on disk, in bytes: the rows alone (``heap``), and all but indexes (``bytes``)."""

    heap: int
    bytes: int
    policies: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceState:
    """A sequence now; ``last`` is None where nothing was drawn from it yet."""

    last: int | None
    increment: int
    cycle: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that is read in a snapshot, beside the rows; ``sizes`` are those of the locked tables, by oid."""

    database: DatabaseFact
    roles: tuple[RoleFact, ...]
    extensions: tuple[ExtensionFact, ...]
    large_objects: LargeObjectsFact
    migration_head: MigrationHead | None
    sizes: dict[int, TableSize]


def read_facts(session: Session, locked: Sequence[Relation]) -> Facts:
    """All facts, by a session that holds a lock on each of ``locked`` and is in a transaction."""
    return Facts(
        database=database(session),
        roles=roles(session),
        extensions=extensions(session),
        large_objects=large_objects(session),
        migration_head=migration_head(session, locked),
        sizes=table_sizes(session, locked),
    )


def database(session: Session, name: str | None = None) -> DatabaseFact:
    """The database of that name; without one, that which the session is in."""
    row, oid, owner, encoding, size, comment, tablespace, settings = session.row(
        _DATABASE, (name,), attempted="describe the database"
    )
    return DatabaseFact(
        name=row["datname"],
        oid=oid,
        owner=owner,
        encoding=encoding,
        locale_provider=_PROVIDERS.get(row.get("datlocprovider", "c"), "libc"),
        collate=row["datcollate"],
        ctype=row["datctype"],
        locale=row.get("datlocale") or row.get("daticulocale"),
        icu_rules=row.get("daticurules"),
        bytes=size,
        settings=tuple(settings),
        privileges=None if row["datacl"] is None else tuple(row["datacl"]),
        comment=comment,
        connection_limit=row["datconnlimit"],
        tablespace=tablespace,
    )


def roles(session: Session) -> tuple[RoleFact, ...]:
    """Every role that something in the database names, and those that these are members of."""
    found = session.rows(_ROLES, attempted="list the roles that the database names")
    return tuple(
        RoleFact(name=name, attributes=tuple(attributes), member_of=tuple(member_of))
        for name, attributes, member_of in found
    )


def extensions(session: Session) -> tuple[ExtensionFact, ...]:
    """Every installed extension."""
    found = session.rows(_EXTENSIONS, attempted="list the extensions")
    return tuple(ExtensionFact(name=name, version=version, schema=schema) for name, version, schema in found)


def large_objects(session: Session) -> LargeObjectsFact:
    """Number and size of the database's large objects."""
    count, size = session.row(_LARGE_OBJECTS, attempted="count the large objects")
    return LargeObjectsFact(count=count, bytes=size if count else 0)


def unreadable_large_objects(session: Session) -> int:
    """How many large objects the role may not read."""
    return int(session.value(_UNREADABLE_LARGE_OBJECTS, attempted="check the rights on large objects"))


def table_sizes(session: Session, tables: Sequence[Relation]) -> dict[int, TableSize]:
    """Sizes by oid. The session must hold a lock on each table, or this would wait for whoever has one."""
    found = session.rows(_TABLES, ([each.oid for each in tables],), attempted="read the sizes of the tables")
    return {
        oid: TableSize(heap=heap or 0, bytes=total or 0, policies=tuple(policies))
        for oid, heap, total, policies in found
    }


def loaded_through_root(session: Session) -> frozenset[int]:
    """Tables, by oid, whose rows pg_dump copies into the root of their partitions."""
    found = session.rows(_LOADED_THROUGH_ROOT, attempted="look for partitions that are loaded through their root")
    return frozenset(oid for (oid,) in found)


def sequences(session: Session, wanted: Sequence[Relation]) -> dict[int, SequenceState]:
    """The state of sequences by oid, now: no snapshot holds it."""
    states: dict[int, SequenceState] = {}
    for batch in batches(wanted, _SEQUENCES_AT_ONCE):
        found = session.rows(_SEQUENCES, ([each.oid for each in batch],), attempted="read the sequences")
        states |= {oid: SequenceState(last=last, increment=step, cycle=cycle) for oid, last, step, cycle in found}
    return states


def migration_head(session: Session, tables: Sequence[Relation]) -> MigrationHead | None:
    """The newest migration that a known tool has recorded, from the tables in the backup; within a transaction.

    Anybody can make a table of such a name, with a column whose cast or operator is a function of his own, which would
    then run with the rights of whoever takes the backup: only tables of PostgreSQL's own types are read.
    """
    present = {(each.name.schema, each.name.name): each for each in tables if each.readable and each.kind == "r"}
    for tool, schema, table, column, condition, order in _MIGRATION_TABLES:
        if (found_as := present.get((schema, table))) is None or not _of_own_types(session, found_as):
            continue
        name = found_as.name.quoted
        query = f"SELECT ({column})::text FROM ONLY {name} WHERE {condition} ORDER BY {order} DESC LIMIT 1"
        if found := _tried(session, query):
            return MigrationHead(tool=tool, id=str(found[0][0]))
    return None


def _of_own_types(session: Session, table: Relation) -> bool:
    """Whether all columns have types that came with the server (FirstNormalObjectId is 16384)."""
    return bool(session.value(_OWN_TYPES, (table.oid,), attempted="look for migrations"))


def _tried(session: Session, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query that fails where a table only has the name of one that we know."""
    session.execute("SAVEPOINT tried", attempted="look for migrations")
    try:
        return session.rows(query, attempted="look for migrations")
    except RunbookError as error:
        if error.code != "server_failed":
            raise
        session.execute("ROLLBACK TO SAVEPOINT tried", attempted="look for migrations")
        return []
