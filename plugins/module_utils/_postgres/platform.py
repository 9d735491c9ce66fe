# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who manages a database, and which of its schemas are that platform's own (private to ops.runbooks).

On a managed server some schemas are made and altered by the platform: whoever restores onto it must leave their
definitions alone. In some of them the user's own data lies all the same (accounts, the list of stored files), and a
restore elsewhere needs them. A manifest names both, so that nobody has to know the platform to read it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import PlatformFact

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session

#: What the option takes; ``auto`` looks.
PLATFORMS = ("auto", "postgres", "supabase", "rds")
#: Roles that only the platform makes.
_MARKS = {"supabase_admin": "supabase", "rds_superuser": "rds"}
#: Schemas that the Supabase CLI leaves out of what it calls a project's own definitions (``db dump``, June 2026).
_SUPABASE = frozenset(
    [
        "_analytics",
        "_realtime",
        "_supavisor",
        "auth",
        "cron",
        "dbdev",
        "etl",
        "extensions",
        "graphql",
        "graphql_public",
        "net",
        "pgbouncer",
        "pgmq",
        "pgsodium",
        "pgsodium_masks",
        "pgtle",
        "realtime",
        "repack",
        "storage",
        "supabase_functions",
        "supabase_migrations",
        "tiger",
        "tiger_data",
        "topology",
        "vault",
    ]
)
_SUPABASE_PREFIXES = ("timescaledb_", "_timescaledb_")
#: Of these, schemas whose rows it keeps in a dump of a project's data.
_SUPABASE_DATA = frozenset({"auth", "storage", "cron", "net", "pgmq", "supabase_functions"})
#: Amazon's own extensions, each of which makes its schema.
_RDS = frozenset({"apg_plan_mgmt", "aws_commons", "aws_lambda", "aws_ml", "aws_s3", "rdsadmin"})

_LOOK = """
SELECT ARRAY(SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname = ANY (%s) ORDER BY 1),
       ARRAY(SELECT nspname::text FROM pg_catalog.pg_namespace ORDER BY 1)"""


def look(session: Session, wanted: str) -> PlatformFact:
    """The platform, as it is asked for or found, and what it manages here."""
    roles, schemas = session.row(_LOOK, (list(_MARKS),), attempted="look who manages this database")
    return of(wanted, roles, schemas)


def of(wanted: str, roles: Collection[str], schemas: Collection[str]) -> PlatformFact:
    """The platform by roles and schemas that are there; pure."""
    found = [name for role, name in _MARKS.items() if role in roles]
    name = (found or ["postgres"])[0] if wanted == "auto" else wanted
    managed = sorted(schema for schema in schemas if _managed(name, schema))
    needed = [schema for schema in managed if name == "supabase" and schema in _SUPABASE_DATA]
    return PlatformFact(name=name, managed_schemas=tuple(managed), managed_schemas_with_data=tuple(needed))


def _managed(platform: str, schema: str) -> bool:
    if platform == "supabase":
        return schema in _SUPABASE or schema.startswith(_SUPABASE_PREFIXES)
    return platform == "rds" and schema in _RDS
