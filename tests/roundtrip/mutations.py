# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small changes of the nasty database, one for each way in which a restore can go wrong, and what must be seen of each.

All of them are made in one copy, so that none may touch what another one is about.
"""

from __future__ import annotations

#: Statement to the objects, as ``"<kind> <name>"``, that then differ from the original: these and no others.
MUTATIONS: dict[str, tuple[str, ...]] = {
    "CREATE SCHEMA added": ("schema added",),
    "ALTER SCHEMA empty_schema OWNER TO nasty_app": ("schema empty_schema",),
    "REVOKE USAGE ON SCHEMA public FROM nasty_app": ("schema public",),
    "UPDATE pg_extension SET extversion = '0' WHERE extname = 'ltree'": ("extension ltree",),
    'ALTER EXTENSION hstore DROP FUNCTION "Odd Schema.1".hstore_hash("Odd Schema.1".hstore)': (
        'membership function "Odd Schema.1".hstore_hash("Odd Schema.1".hstore)',
    ),
    "ALTER FUNCTION public.new_style(int, int) DEPENDS ON EXTENSION pgcrypto": (
        "membership function public.new_style(integer,integer)",
    ),
    "DROP TABLE public.no_columns": ("relation public.no_columns", "type public.no_columns", "rows public.no_columns"),
    "ALTER TABLE public.audit OWNER TO nasty_app": (
        "relation public.audit",
        "relation public.audit_id_seq",
        "type public.audit",
    ),
    "ALTER TABLE public.unlogged SET LOGGED": ("relation public.unlogged", "relation public.unlogged_pkey"),
    "ALTER TABLE public.customer RESET (toast.autovacuum_enabled)": ("relation public.customer",),
    "ALTER TABLE public.typed SET (fillfactor = 33)": ("relation public.typed",),
    "ALTER TABLE public.identity_full REPLICA IDENTITY DEFAULT": ("relation public.identity_full",),
    "ALTER TABLE public.identity_index REPLICA IDENTITY NOTHING": (
        "index public.identity_index_a",
        "relation public.identity_index",
    ),
    "ALTER TABLE public.indexed SET WITHOUT CLUSTER": ("index public.indexed_nulls",),
    "GRANT SELECT ON public.no_rows TO nasty_app": ("relation public.no_rows",),
    'REVOKE GRANT OPTION FOR SELECT (id) ON public."MixedCase" FROM "Nasty ""quoted"" Rôle"': (
        'column public."MixedCase".id',
    ),
    "ALTER TABLE public.searched ADD COLUMN added int": ("column public.searched.added", "rows public.searched"),
    "ALTER TABLE public.searched ALTER COLUMN t SET STORAGE EXTERNAL": ("column public.searched.t",),
    "ALTER TABLE public.customer ALTER COLUMN email SET COMPRESSION pglz": (
        "column public.customer.email",
        "column public.customer_email_key column 1",
    ),
    "ALTER TABLE public.searched ALTER COLUMN v SET STATISTICS 9": ("column public.searched.v",),
    "ALTER TABLE public.customer ALTER COLUMN mood SET (n_distinct = -0.25)": ("column public.customer.mood",),
    "ALTER TABLE public.dropped_columns ALTER COLUMN e SET DEFAULT 43": (
        "column default for public.dropped_columns.e",
    ),
    "ALTER TABLE public.has_object ALTER COLUMN id SET NOT NULL": (
        "column public.has_object.id",
        "constraint has_object_id_not_null on public.has_object",
    ),
    "ALTER TABLE public.generated ALTER COLUMN other SET GENERATED ALWAYS": ("column public.generated.other",),
    "ALTER TABLE public.forced_only NO FORCE ROW LEVEL SECURITY": ("relation public.forced_only",),
    "ALTER TABLE public.enabled_without_policy DISABLE ROW LEVEL SECURITY": ("relation public.enabled_without_policy",),
    "DROP INDEX public.indexed_hash": (
        "column public.indexed_hash column 1",
        "index public.indexed_hash",
        "relation public.indexed_hash",
    ),
    "ALTER INDEX public.indexed_brin SET (pages_per_range = 8)": (
        "index public.indexed_brin",
        "relation public.indexed_brin",
    ),
    "ALTER INDEX public.indexed_two ALTER COLUMN 2 SET STATISTICS 5": ("column public.indexed_two column 2",),
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.indexed_arr'::regclass": (
        "index public.indexed_arr",
    ),
    "ALTER TABLE public.membership DROP CONSTRAINT pair": ("constraint pair on public.membership",),
    "UPDATE pg_constraint SET convalidated = true WHERE conname = 'not_valid_yet'": (
        "constraint not_valid_yet on public.customer",
    ),
    "ALTER TABLE public.team ALTER CONSTRAINT lead_is_member NOT DEFERRABLE": (
        "constraint lead_is_member on public.team",
    ),
    "ALTER DOMAIN public.short_text DROP CONSTRAINT short_text_check": (
        "constraint short_text_check on public.short_text",
    ),
    "ALTER TABLE public.grandchild NO INHERIT public.child": (
        "column public.grandchild.extra",
        "column public.grandchild.id",
        "column public.grandchild.v",
        "column public.grandchild.w",
        "constraint not_never on public.grandchild",
        "inheritance public.grandchild of public.child",
    ),
    "ALTER TABLE public.by_expression DETACH PARTITION public.by_expression_2": (
        "column public.by_expression_2.a",
        "column public.by_expression_2.b",
        "inheritance public.by_expression_2 of public.by_expression",
        "relation public.by_expression_2",
    ),
    "UPDATE pg_partitioned_table SET partstrat = 'r' WHERE partrelid = 'public.no_partitions'::regclass": (
        "partition key public.no_partitions",
    ),
    "ALTER SEQUENCE public.down NO CYCLE": ("sequence public.down",),
    "ALTER SEQUENCE public.owned_elsewhere OWNED BY NONE": ("membership sequence public.owned_elsewhere",),
    "SELECT setval('public.called_once', 6)": ("sequence state public.called_once",),
    "SELECT setval('public.never_called', 5, true)": ("sequence state public.never_called",),
    'DROP STATISTICS public."expr stats"': ('statistics object public."expr stats"',),
    "ALTER STATISTICS public.indexed_stats SET STATISTICS 1": ("statistics object public.indexed_stats",),
    "CREATE OR REPLACE VIEW public.checked AS SELECT id, v FROM public.no_rows WHERE id < 101": (
        "relation public.checked",
        'rule "_RETURN" on public.checked',
    ),
    'ALTER VIEW public."view ""1""" SET (security_barrier = false)': ('relation public."view ""1"""',),
    'DROP RULE "no delete" ON public."MixedCase"': (
        'comment rule "no delete" on public."MixedCase"',
        'rule "no delete" on public."MixedCase"',
    ),
    "ALTER TABLE public.mixedcase ENABLE RULE log_it": ("rule log_it on public.mixedcase",),
    "DROP TRIGGER transition ON public.watched": ("trigger transition on public.watched",),
    "ALTER TABLE public.watched ENABLE TRIGGER switched_off": ("trigger switched_off on public.watched",),
    "ALTER TABLE public.event_2025 ENABLE TRIGGER on_partitioned": ("trigger on_partitioned on public.event_2025",),
    "ALTER POLICY only_own ON public.tenant_row WITH CHECK (v IS NULL)": ("policy only_own on public.tenant_row",),
    'ALTER POLICY "own ""rows""" ON public.tenant_row TO nasty_app': ('policy "own ""rows""" on public.tenant_row',),
    "DROP POLICY for_all ON public.tenant_row": ("policy for_all on public.tenant_row",),
    "ALTER TYPE public.no_labels ADD VALUE 'one'": ("enum label public.no_labels 'one'",),
    "ALTER DOMAIN public.positive SET DEFAULT 2": ("type public.positive",),
    "GRANT USAGE ON TYPE public.mood TO nasty_reader": ("type public.mood",),
    "UPDATE pg_range SET rngsubdiff = 0 WHERE rngtypid = 'public.textrange'::regtype": ("range type public.textrange",),
    "CREATE OR REPLACE FUNCTION public.overloaded(text) RETURNS text LANGUAGE sql AS 'SELECT $1 || $1'": (
        "routine public.overloaded(pg_catalog.text)",
    ),
    "ALTER FUNCTION public.tabular(int) SECURITY INVOKER": ("routine public.tabular(integer)",),
    "ALTER FUNCTION public.overloaded(int) OWNER TO nasty_app": ("routine public.overloaded(integer)",),
    "GRANT EXECUTE ON PROCEDURE public.proc(int, public.mood) TO nasty_reader": (
        "routine public.proc(integer,public.mood)",
    ),
    "CREATE OR REPLACE AGGREGATE public.join_all(text)"
    " (SFUNC = textcat, STYPE = text, INITCOND = '<', PARALLEL = SAFE)": ("aggregate public.join_all(text)",),
    "ALTER OPERATOR public.=|= (text, text) SET (RESTRICT = neqsel)": (
        "operator public.=|=(pg_catalog.text,pg_catalog.text)",
    ),
    "ALTER OPERATOR CLASS public.reverse_ops USING btree OWNER TO nasty_app": (
        "operator class public.reverse_ops USING btree",
    ),
    "ALTER OPERATOR FAMILY public.reverse_family USING btree OWNER TO nasty_app": (
        "operator family public.reverse_family USING btree",
    ),
    "ALTER OPERATOR FAMILY public.reverse_family USING btree ADD "
    "OPERATOR 1 > (int, bigint), FUNCTION 1 (int, bigint) btint48cmp(int, bigint)": (
        "function of a family function 1 (integer, bigint) of public.reverse_family USING btree",
        "operator of a family operator 1 (integer, bigint) of public.reverse_family USING btree",
    ),
    "DROP CAST (public.mood AS int)": ("cast (public.mood AS integer)", "comment cast (public.mood AS integer)"),
    "ALTER COLLATION public.c_copy OWNER TO nasty_app": ("collation public.c_copy",),
    "DROP CONVERSION public.latin_to_utf": ("conversion public.latin_to_utf",),
    "DROP TRANSFORM FOR int LANGUAGE sql": (
        "comment transform for integer language sql",
        "transform for integer language sql",
    ),
    "CREATE ACCESS METHOD added TYPE TABLE HANDLER heap_tableam_handler": ("access method added",),
    "ALTER LANGUAGE plpgsql_twin OWNER TO nasty_app": ("language plpgsql_twin",),
    "ALTER EVENT TRIGGER nasty_off ENABLE": ("event trigger nasty_off",),
    """ALTER PUBLICATION "pub 1" SET (publish = 'insert')""": ('publication "pub 1"',),
    'ALTER PUBLICATION "pub 1" SET TABLE public.watched (id) WHERE (w > 0), public.event': (
        "published table public.watched in publication pub 1",
    ),
    'ALTER PUBLICATION by_schema DROP TABLES IN SCHEMA "quote""d"': (
        'published schema quote"d in publication by_schema',
    ),
    """ALTER FOREIGN DATA WRAPPER nothing OPTIONS (SET "an option" 'other')""": ("foreign data wrapper nothing",),
    """ALTER SERVER "server 1" VERSION 'w'""": ('foreign server "server 1"',),
    'DROP USER MAPPING FOR PUBLIC SERVER "server 1"': ("user mapping public on server server 1",),
    "ALTER FOREIGN TABLE public.far_away OPTIONS (SET schema_name 'z')": ("foreign table public.far_away",),
    "ALTER TEXT SEARCH CONFIGURATION public.config DROP MAPPING FOR email": ("text search mapping public.config 4 1",),
    "ALTER TEXT SEARCH CONFIGURATION public.config OWNER TO nasty_app": ("text search configuration public.config",),
    "ALTER TEXT SEARCH DICTIONARY public.plain (Accept = true)": ("text search dictionary public.plain",),
    "DROP TEXT SEARCH PARSER public.parser": ("text search parser public.parser",),
    "DROP TEXT SEARCH TEMPLATE public.template": ("text search template public.template",),
    "ALTER DEFAULT PRIVILEGES FOR ROLE nasty_owner REVOKE SELECT ON TABLES FROM nasty_reader": (
        "default privileges for role nasty_owner on tables",
    ),
    "GRANT SELECT ON LARGE OBJECT 7002 TO nasty_app": ("large object 7002",),
    "ALTER LARGE OBJECT 7003 OWNER TO nasty_owner": ("large object 7003",),
    "SELECT lo_put(8001, 0, 'X')": ("large object content 8001",),
    "SELECT lo_unlink(8002)": ("large object 8002", "large object content 8002"),
    "COMMENT ON LARGE OBJECT 7001 IS 'changed'": ("comment large object 7001",),
    "COMMENT ON COLUMN public.value.b IS NULL": ("comment table column public.value.b",),
    """COMMENT ON CONSTRAINT "is positive" ON DOMAIN public.positive IS 'changed'""": (
        'comment domain constraint "is positive" on public.positive',
    ),
    "COMMENT ON SCHEMA public IS 'standard public schema'": ("comment schema public",),
    "INSERT INTO pg_seclabel VALUES ('public.value'::regclass, 'pg_class'::regclass, 0, 'dummy', 'secret')": (
        "security label table public.value dummy",
    ),
    "CREATE SUBSCRIPTION added CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE)": (
        "subscription added",
    ),
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_sleep(double precision) TO PUBLIC": (
        "system privileges pg_proc pg_catalog.pg_sleep(double precision)",
    ),
    "GRANT SELECT (rolpassword) ON pg_catalog.pg_authid TO nasty_reader": (
        "system privileges pg_class pg_catalog.pg_authid.rolpassword",
    ),
    'REVOKE EXECUTE ON FUNCTION ext.crypt(text, text) FROM "nasty group"': (
        "routine ext.crypt(pg_catalog.text,pg_catalog.text)",
    ),
    "UPDATE public.value SET n = '9.10' WHERE id = 11": ("rows public.value",),
    "DELETE FROM public.value WHERE id = 12": ("rows public.value",),
    'INSERT INTO public."-t" VALUES (1)': ("rows public.-t",),
    """UPDATE public.event_2026_small SET body = '{"n": null}'"""
    " WHERE id = (SELECT min(id) FROM public.event_2026_small)": ("rows public.event_2026_small",),
    "INSERT INTO public.by_enum VALUES ('sad', 6)": ("rows public.by_enum",),
    "REFRESH MATERIALIZED VIEW public.mat_on_mat WITH NO DATA": (
        "relation public.mat_on_mat",
        "rows public.mat_on_mat",
    ),
}

#: The same for what belongs to the database itself; ``{}`` stands for its quoted name.
MUTATIONS_OF_DATABASE: dict[str, tuple[str, ...]] = {
    "ALTER DATABASE {} CONNECTION LIMIT 5": ("database this database: datconnlimit",),
    "ALTER DATABASE {} OWNER TO nasty_owner": ("database this database: datacl", "database this database: datdba"),
    "GRANT CREATE ON DATABASE {} TO nasty_app": ("database this database: datacl",),
    "ALTER DATABASE {} WITH IS_TEMPLATE true": ("database this database: datistemplate",),
    "ALTER DATABASE {} SET work_mem = '3MB'": ("setting every role",),
    "ALTER ROLE nasty_app IN DATABASE {} SET work_mem = '4MB'": ("setting nasty_app",),
    "COMMENT ON DATABASE {} IS 'changed'": ("comment this database",),
    "INSERT INTO pg_shseclabel SELECT oid, 'pg_database'::regclass, 'dummy', 'secret' "
    "FROM pg_database WHERE datname = current_database()": ("security label this database dummy",),
}
