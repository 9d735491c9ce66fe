# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A private server made ready for one backup (private to ops.runbooks): its roles, and what takes a superuser.

The backup itself is loaded by an ordinary role. Extensions are made by the superuser before, in the template that every
new database is copied from, and so are the schemas that they live in.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.drill.contents import Provided, wanted_extensions
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.drill.private_server import LOADER, PrivateServer
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    DatabaseFact,
    Manifest,
    quote_identifier,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import Ownership, needed_roles
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.facts import TargetFacts, missing_locales

#: Where amcheck goes, which is no part of the backup.
CHECKS = "runbooks_checks"
_ATTEMPTED = "make the private server ready"
#: What policies and defaults of a Supabase project call in a schema of the platform, and what that returns.
_FUNCTIONS = {
    "function auth.email()": "text",
    "function auth.jwt()": "jsonb",
    "function auth.role()": "text",
    "function auth.uid()": "uuid",
}
#: amcheck's own functions and no others: what lives beside them in a schema of the backup is none of them.
_GRANT_CHECKS = f"""
DO $do$
DECLARE one regprocedure;
BEGIN
  FOR one IN
    SELECT d.objid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    WHERE e.extname = 'amcheck' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
      AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.deptype = 'e'
  LOOP
    EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO {LOADER}', one);
  END LOOP;
END $do$"""
#: A manifest is input from outside: only plain names become a part of a statement.
_SCHEMA = re.compile(r"schema (?P<name>[a-z_][a-z0-9_]*)")
_EXISTING_SCHEMAS = frozenset({"public", "pg_catalog"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipped:
    """What the private server has for this backup, and the extensions that it cannot have."""

    provided: Provided
    missing: frozenset[str]
    stand_ins: tuple[str, ...] = ()


def equip(server: PrivateServer, manifest: Manifest, heads: Collection[Head], *, amcheck: bool) -> Equipped:
    """Make the roles that the backup names, and its extensions where this installation has them."""
    schemas = {each.name: each.schema for each in manifest.extensions}
    used = {lack.removeprefix("extension ") for lack in manifest.lacks if lack.startswith("extension ")}
    wanted = {name: schemas.get(name, "public") for name in wanted_extensions(heads) | used}
    with server.admin.open() as session:
        session.execute("ALTER DATABASE template0 WITH ALLOW_CONNECTIONS true", attempted=_ATTEMPTED)
        _make_roles(session, manifest, heads)
    with server.admin.open("template0") as session:
        made = _make_extensions(session, {**({"amcheck": CHECKS} if amcheck else {}), **wanted})
        own = {wanted[name] for name in made & wanted.keys()} - _EXISTING_SCHEMAS
        for schema in sorted(own):
            session.execute(f"ALTER SCHEMA {quote_identifier(schema)} OWNER TO {LOADER}", attempted=_ATTEMPTED)
        stand_ins = _make_stand_ins(session, manifest.lacks)
    return Equipped(
        provided=Provided(extensions=frozenset(made & wanted.keys()), schemas=frozenset(own)),
        missing=frozenset(wanted.keys() - made),
        stand_ins=stand_ins,
    )


def _make_roles(session: Session, manifest: Manifest, heads: Collection[Head]) -> None:
    """Every role that the backup names, unable to log in; whoever loads may act for each."""
    needed = {role for head in heads for role in needed_roles(head, manifest.database, Ownership())}
    existing = {name for (name,) in session.rows("SELECT rolname::pg_catalog.text FROM pg_roles", attempted=_ATTEMPTED)}
    for role in sorted(needed - existing):
        name = quote_identifier(role)
        session.execute(f"CREATE ROLE {name} NOLOGIN; GRANT {name} TO {LOADER} WITH ADMIN OPTION", attempted=_ATTEMPTED)


def _make_extensions(session: Session, wanted: Mapping[str, str]) -> set[str]:
    """Those extensions that can be made here. Some need another one first, hence rounds until nothing more comes."""
    made: set[str] = set()
    while True:
        before = len(made)
        made |= {name for name in sorted(wanted.keys() - made) if make_extension(session, name, wanted[name])}
        if len(made) == before:
            return made


def make_extension(session: Session, name: str, schema: str) -> bool:
    """Whether it could be made. What the loading role may do with it is what an owner may."""
    quoted, inside = quote_identifier(name), quote_identifier(schema)
    statements = [f"CREATE EXTENSION {quoted} WITH SCHEMA {inside}"]
    if schema not in _EXISTING_SCHEMAS:
        statements.insert(0, f"CREATE SCHEMA IF NOT EXISTS {inside}")
    if schema != "pg_catalog":
        statements.append(f"GRANT USAGE ON SCHEMA {inside} TO {LOADER}")
        # Not functions: what an extension keeps from others, such as dblink_connect_u, it keeps for a reason.
        statements += [f"GRANT ALL ON ALL {what} IN SCHEMA {inside} TO {LOADER}" for what in ("TABLES", "SEQUENCES")]
    if name == "amcheck":
        statements.append(_GRANT_CHECKS)
    try:
        session.execute(f"BEGIN; {'; '.join(statements)}; COMMIT", attempted=f"make extension {name}")
    except RunbookError as error:
        if error.code in ("controller_gone", "lock_lost", "run_aborted", "server_unreachable"):
            raise
        session.execute("ROLLBACK", attempted=_ATTEMPTED)
        return False
    return True


def _make_stand_ins(session: Session, lacks: Collection[str]) -> tuple[str, ...]:
    """What a part of a database uses from outside of it, as far as something empty can stand in for it."""
    made = []
    for lack in lacks:
        schema = _SCHEMA.fullmatch(lack)
        name = schema["name"] if schema is not None else "auth" if lack in _FUNCTIONS else None
        if name is None:
            continue
        session.execute(f"CREATE SCHEMA IF NOT EXISTS {name} AUTHORIZATION {LOADER}", attempted=_ATTEMPTED)
        if lack in _FUNCTIONS:
            kind, signature = _FUNCTIONS[lack], lack.removeprefix("function ")
            body = f"RETURNS {kind} LANGUAGE sql STABLE AS 'SELECT NULL::{kind}'"
            session.execute(f"CREATE OR REPLACE FUNCTION {signature} {body}", attempted=_ATTEMPTED)
            made.append(f"{lack} of Supabase, for which one that returns null stood in")
    return tuple(made)


def adapt_locale(database: DatabaseFact, target: TargetFacts) -> tuple[DatabaseFact, tuple[str, ...]]:
    """The database as this server can make it, and the locales that it lacks: C stands in for each."""
    if database.locale_provider == "icu" and not target.has_icu:
        plain = replace(database, locale_provider="libc", collate="C", ctype="C", locale=None, icu_rules=None)
        return plain, (f"ICU locale {database.locale}, since the server is built without ICU",)
    lacking = missing_locales(dict.fromkeys((database.collate, database.ctype)), target.locales)
    if not lacking:
        return database, ()
    stand_in = dict.fromkeys(lacking, "C")
    return (
        replace(
            database,
            collate=stand_in.get(database.collate, database.collate),
            ctype=stand_in.get(database.ctype, database.ctype),
        ),
        tuple(f"locale {name}, which the operating system here does not have" for name in lacking),
    )
