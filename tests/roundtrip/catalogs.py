# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is compared of each system catalog.

A column of a catalog is compared unless it is left out here, so that what a later PostgreSQL adds is compared by
itself. Numbers that differ between equal databases (oids, column numbers) are replaced by names with the help of
``pg_get_catalog_foreign_keys()``, which PostgreSQL keeps true for its own tests. Expression trees have no comparable
form: each must be given as text in ``computed`` or left out because another column of the same object says it.

In the SQL below ``c`` is the row of the catalog. Objects that came with initdb are not compared, except for what users
change on them: privileges, and the schema ``public``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: Oids below belong to what initdb made (``FirstNormalObjectId`` in access/transam.h).
FIRST_USER_OID = 16384
MADE_BY_USERS = f"c.oid >= {FIRST_USER_OID}"

#: The object that three columns point at, as in pg_depend and pg_description.
POLYMORPHIC = "(SELECT type || ' ' || identity FROM pg_identify_object(c.classoid, c.objoid, c.objsubid))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """One system catalog. ``privileges`` maps an aclitem[] column to (kind for ``acldefault``, owner), both SQL."""

    table: str
    kind: str
    left_out: tuple[str, ...] = ()
    computed: Mapping[str, str] = field(default_factory=dict)
    privileges: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    identity: str | None = None
    only: str = MADE_BY_USERS


def _relation_is_ours(column: str) -> str:
    return f"c.{column} >= {FIRST_USER_OID} AND {_not_toast(f'c.{column}')}"


def _not_toast(oid: str) -> str:
    return f"(SELECT relnamespace <> 'pg_toast'::regnamespace FROM pg_class WHERE oid = {oid})"


CATALOGS = (
    Catalog(
        table="pg_database",
        kind="database",
        # The name is the test's choice; the rest is of this server's life.
        left_out=("datname", "datfrozenxid", "datminmxid", "dattablespace", "datcollversion", "datlastsysoid"),
        privileges={"datacl": ("'d'", "c.datdba")},
        identity="'this database'",
        only="c.datname = current_database()",
    ),
    Catalog(
        table="pg_db_role_setting",
        kind="setting",
        left_out=("setdatabase",),
        computed={"setconfig": "(SELECT jsonb_agg(item ORDER BY item) FROM unnest(c.setconfig) AS item)"},
        identity="coalesce((SELECT rolname FROM pg_roles WHERE oid = c.setrole), 'every role')",
        only="c.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())",
    ),
    Catalog(
        table="pg_shdescription",
        kind="comment",
        left_out=("objoid", "classoid"),
        identity="'this database'",
        only="c.classoid = 'pg_database'::regclass AND "
        "c.objoid = (SELECT oid FROM pg_database WHERE datname = current_database())",
    ),
    Catalog(
        table="pg_shseclabel",
        kind="security label",
        left_out=("objoid", "classoid"),
        identity="'this database ' || c.provider",
        only="c.classoid = 'pg_database'::regclass AND "
        "c.objoid = (SELECT oid FROM pg_database WHERE datname = current_database())",
    ),
    Catalog(
        table="pg_subscription",
        kind="subscription",
        # A restored subscription is switched off on purpose, and where it stood is the origin's affair.
        left_out=("subdbid", "subenabled", "subskiplsn"),
        only="c.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
    ),
    Catalog(
        table="pg_namespace",
        kind="schema",
        privileges={"nspacl": ("'n'", "c.nspowner")},
        only=f"({MADE_BY_USERS} AND c.nspname !~ '^pg_(toast_)?temp_' OR c.nspname = 'public')",
    ),
    Catalog(table="pg_extension", kind="extension"),
    Catalog(
        table="pg_class",
        kind="relation",
        left_out=(
            # where the rows lie
            *("relfilenode", "reltablespace", "relrewrite", "reltoastrelid"),
            # estimates and horizons
            *("relpages", "reltuples", "relallvisible", "relallfrozen", "relfrozenxid", "relminmxid"),
            # hints that stay set, and the count of columns with the dropped ones
            *("relhasindex", "relhasrules", "relhastriggers", "relhassubclass", "relnatts"),
        ),
        computed={
            "relpartbound": "pg_get_expr(c.relpartbound, c.oid)",
            "toast_options": "(SELECT to_jsonb(reloptions) FROM pg_class AS toast WHERE toast.oid = c.reltoastrelid)",
        },
        privileges={"relacl": ("CASE c.relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r' END", "c.relowner")},
        only=f"{MADE_BY_USERS} AND {_not_toast('c.oid')}",
    ),
    Catalog(
        table="pg_attribute",
        kind="column",
        # attmissingval is a default that was not yet written into old rows; attndims is decoration that views lose;
        # attlen, attbyval and attalign belong to the type.
        left_out=(
            "attnum",
            "attcacheoff",
            "atthasmissing",
            "attmissingval",
            "attndims",
            "attlen",
            "attbyval",
            "attalign",
        ),
        computed={
            "position": "(SELECT count(*) FROM pg_attribute AS o WHERE o.attrelid = c.attrelid "
            "AND o.attnum BETWEEN 1 AND c.attnum AND NOT o.attisdropped)",
            # A column of an index is named when the index is made and not renamed with the table's.
            "attname": "CASE WHEN (SELECT relkind NOT IN ('i', 'I') FROM pg_class WHERE oid = c.attrelid) "
            "THEN c.attname END",
        },
        privileges={"attacl": ("'c'", "0")},
        identity="CASE WHEN (SELECT relkind IN ('i', 'I') FROM pg_class WHERE oid = c.attrelid) "
        "THEN c.attrelid::regclass || ' column ' || c.attnum "
        "ELSE (pg_identify_object('pg_class'::regclass, c.attrelid, c.attnum)).identity END",
        only=f"c.attnum > 0 AND NOT c.attisdropped AND {_relation_is_ours('attrelid')}",
    ),
    Catalog(
        table="pg_attrdef",
        kind="column default",
        computed={"adbin": "pg_get_expr(c.adbin, c.adrelid)"},
    ),
    Catalog(
        table="pg_index",
        kind="index",
        # indcheckxmin is about the making of the index; the trees are in the definition.
        left_out=("indcheckxmin", "indexprs", "indpred"),
        computed={"definition": "pg_get_indexdef(c.indexrelid)"},
        identity="c.indexrelid::regclass::text",
        only=_relation_is_ours("indrelid"),
    ),
    Catalog(
        table="pg_constraint",
        kind="constraint",
        left_out=("conbin",),
        computed={
            "definition": "pg_get_constraintdef(c.oid)",
            # Of the keys of partitions it only tells whether they were made alone or with their parent's.
            "connoinherit": "CASE WHEN c.contype IN ('c', 'n') THEN c.connoinherit END",
        },
    ),
    Catalog(
        table="pg_inherits",
        kind="inheritance",
        left_out=("inhseqno",),
        # Parents of one child keep their order, yet their numbers have holes after a NO INHERIT.
        computed={
            "order": "(SELECT count(*) FROM pg_inherits AS o "
            "WHERE o.inhrelid = c.inhrelid AND o.inhseqno <= c.inhseqno)",
        },
        identity="c.inhrelid::regclass || ' of ' || c.inhparent::regclass",
        only="true",
    ),
    Catalog(
        table="pg_partitioned_table",
        kind="partition key",
        left_out=("partexprs", "partattrs"),
        computed={"definition": "pg_get_partkeydef(c.partrelid)"},
        identity="c.partrelid::regclass::text",
        only="true",
    ),
    Catalog(table="pg_sequence", kind="sequence", identity="c.seqrelid::regclass::text", only="true"),
    Catalog(
        table="pg_statistic_ext",
        kind="statistics object",
        left_out=("stxexprs",),
        computed={"definition": "pg_get_statisticsobjdef(c.oid)"},
    ),
    Catalog(
        table="pg_rewrite",
        kind="rule",
        left_out=("ev_qual", "ev_action"),
        computed={"definition": "pg_get_ruledef(c.oid)"},
    ),
    Catalog(
        table="pg_trigger",
        kind="trigger",
        left_out=("tgqual",),
        computed={"definition": "pg_get_triggerdef(c.oid)"},
        # The internal ones belong to foreign keys and carry an oid in their name.
        only=f"{MADE_BY_USERS} AND NOT c.tgisinternal",
    ),
    Catalog(
        table="pg_policy",
        kind="policy",
        computed={
            "polroles": "(SELECT jsonb_agg(coalesce(rolname, 'PUBLIC') ORDER BY rolname) "
            "FROM unnest(c.polroles) AS role LEFT JOIN pg_roles AS r ON r.oid = role)",
            "polqual": "pg_get_expr(c.polqual, c.polrelid)",
            "polwithcheck": "pg_get_expr(c.polwithcheck, c.polrelid)",
        },
    ),
    Catalog(
        table="pg_type",
        kind="type",
        left_out=("typarray", "typdefaultbin"),
        privileges={"typacl": ("'T'", "c.typowner")},
        # An array type is made with its element's and named by the server.
        only=f"{MADE_BY_USERS} AND NOT EXISTS (SELECT FROM pg_type AS e WHERE e.typarray = c.oid) "
        f"AND (c.typrelid = 0 OR {_not_toast('c.typrelid')})",
    ),
    Catalog(
        table="pg_enum",
        kind="enum label",
        # Labels that were added between others have fractions for a position.
        left_out=("enumsortorder",),
        computed={
            "position": "(SELECT count(*) FROM pg_enum AS o WHERE o.enumtypid = c.enumtypid "
            "AND o.enumsortorder <= c.enumsortorder)"
        },
        identity="c.enumtypid::regtype || ' ' || quote_literal(c.enumlabel)",
    ),
    Catalog(
        table="pg_range",
        kind="range type",
        identity="c.rngtypid::regtype::text",
        only=f"c.rngtypid >= {FIRST_USER_OID}",
    ),
    Catalog(
        table="pg_proc",
        kind="routine",
        left_out=("proargdefaults", "prosqlbody"),
        computed={"definition": "CASE WHEN c.prokind <> 'a' THEN pg_get_functiondef(c.oid) END"},
        privileges={"proacl": ("'f'", "c.proowner")},
    ),
    Catalog(
        table="pg_aggregate",
        kind="aggregate",
        identity="c.aggfnoid::oid::regprocedure::text",
        only=f"c.aggfnoid::oid >= {FIRST_USER_OID}",
    ),
    Catalog(table="pg_operator", kind="operator"),
    Catalog(table="pg_opclass", kind="operator class"),
    Catalog(table="pg_opfamily", kind="operator family"),
    Catalog(table="pg_amop", kind="operator of a family"),
    Catalog(table="pg_amproc", kind="function of a family"),
    Catalog(table="pg_am", kind="access method"),
    Catalog(table="pg_cast", kind="cast"),
    # A copy of "C" is of every encoding; restored it is of the database's.
    Catalog(table="pg_collation", kind="collation", left_out=("collencoding",)),
    Catalog(table="pg_conversion", kind="conversion"),
    Catalog(table="pg_transform", kind="transform"),
    Catalog(table="pg_language", kind="language", privileges={"lanacl": ("'l'", "c.lanowner")}),
    Catalog(table="pg_event_trigger", kind="event trigger"),
    Catalog(table="pg_publication", kind="publication"),
    Catalog(
        table="pg_publication_rel",
        kind="published table",
        computed={
            "prqual": "pg_get_expr(c.prqual, c.prrelid)",
            "prattrs": "(SELECT jsonb_agg(attname ORDER BY attname) FROM pg_attribute "
            "WHERE attrelid = c.prrelid AND attnum = ANY (c.prattrs))",
        },
    ),
    Catalog(table="pg_publication_namespace", kind="published schema"),
    Catalog(table="pg_foreign_data_wrapper", kind="foreign data wrapper", privileges={"fdwacl": ("'F'", "c.fdwowner")}),
    Catalog(table="pg_foreign_server", kind="foreign server", privileges={"srvacl": ("'S'", "c.srvowner")}),
    Catalog(table="pg_user_mapping", kind="user mapping"),
    Catalog(
        table="pg_foreign_table",
        kind="foreign table",
        identity="c.ftrelid::regclass::text",
        only="true",
    ),
    Catalog(table="pg_ts_config", kind="text search configuration"),
    Catalog(
        table="pg_ts_config_map",
        kind="text search mapping",
        identity="c.mapcfg::regconfig || ' ' || c.maptokentype || ' ' || c.mapseqno",
        only=f"c.mapcfg >= {FIRST_USER_OID}",
    ),
    Catalog(table="pg_ts_dict", kind="text search dictionary"),
    Catalog(table="pg_ts_parser", kind="text search parser"),
    Catalog(table="pg_ts_template", kind="text search template"),
    Catalog(
        table="pg_default_acl",
        kind="default privileges",
        privileges={"defaclacl": ("c.defaclobjtype", "c.defaclrole")},
    ),
    Catalog(
        table="pg_largeobject_metadata",
        kind="large object",
        privileges={"lomacl": ("'L'", "c.lomowner")},
        identity="c.oid::text",
        only="true",
    ),
    Catalog(
        table="pg_description",
        kind="comment",
        left_out=("objoid", "classoid", "objsubid"),
        identity=POLYMORPHIC,
        # A large object may have any oid.
        only=f"(c.objoid >= {FIRST_USER_OID} OR c.classoid = 'pg_largeobject'::regclass "
        "OR c.objoid = (SELECT oid FROM pg_namespace WHERE nspname = 'public'))",
    ),
    Catalog(
        table="pg_seclabel",
        kind="security label",
        left_out=("objoid", "classoid", "objsubid"),
        identity=f"{POLYMORPHIC} || ' ' || c.provider",
        only="true",
    ),
    Catalog(
        table="pg_depend",
        kind="membership",
        left_out=("classid", "objid", "objsubid", "refclassid", "refobjid", "refobjsubid"),
        # Of all dependencies, those that a user states: extension members, functions that need an extension, owned
        # sequences.
        computed={
            "of": "(SELECT type || ' ' || identity FROM pg_identify_object(c.refclassid, c.refobjid, c.refobjsubid))"
        },
        identity="(SELECT type || ' ' || identity FROM pg_identify_object(c.classid, c.objid, c.objsubid))",
        only=f"c.objid >= {FIRST_USER_OID} AND (c.deptype IN ('e', 'x') OR c.deptype IN ('a', 'i') "
        "AND c.classid = 'pg_class'::regclass AND c.refclassid = 'pg_class'::regclass AND c.refobjsubid > 0 "
        "AND (SELECT relkind FROM pg_class WHERE oid = c.objid) = 'S')",
    ),
)

#: Catalogs that say nothing about what a backup of a database carries, and why.
NOT_COMPARED = {
    "pg_auth_members": "belongs to the server",
    "pg_authid": "belongs to the server",
    "pg_init_privs": "follows from initdb and the extensions; what users changed since is compared as privileges",
    "pg_largeobject": "compared by content",
    "pg_parameter_acl": "belongs to the server",
    "pg_replication_origin": "belongs to the server",
    "pg_shdepend": "follows from owners and privileges",
    "pg_statistic": "estimates",
    "pg_statistic_ext_data": "estimates",
    "pg_subscription_rel": "the state of a copy, which begins anew",
    "pg_tablespace": "belongs to the server",
}

#: Privileges that a user changed on what came with the server: catalog, owner column, privileges column.
SYSTEM_PRIVILEGES = (
    ("pg_class", "relacl"),
    ("pg_proc", "proacl"),
    ("pg_type", "typacl"),
    ("pg_language", "lanacl"),
    ("pg_attribute", "attacl"),
)
