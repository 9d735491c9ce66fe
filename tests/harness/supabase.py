# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database as a Supabase project has it: the platform's roles and schemas, and an application in ``public``.

The role that works is no superuser, and neither is it ``postgres`` there: it owns the database and what is in
``public``, may read what the platform manages, and acts for none of the platform's own roles.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.servers import Database, fresh_database

if TYPE_CHECKING:
    from sandbox import PostgresServer

USER = "supa_owner"
_API = ("anon", "authenticated", "service_role")
#: Of the team's own, with a name that asks for care.
_ODD = "re|ports"
_PLATFORM = ("supabase_admin", "supabase_auth_admin", "supabase_storage_admin", "authenticator")
#: What the platform makes before a project is handed over.
PLATFORM = f"""
ALTER SCHEMA public OWNER TO pg_database_owner;
GRANT ALL ON SCHEMA public TO {USER}; GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
CREATE SCHEMA auth AUTHORIZATION supabase_auth_admin; CREATE SCHEMA storage AUTHORIZATION supabase_storage_admin;
CREATE SCHEMA extensions AUTHORIZATION supabase_admin; CREATE SCHEMA realtime AUTHORIZATION supabase_admin;
CREATE SCHEMA vault AUTHORIZATION supabase_admin; CREATE SCHEMA graphql AUTHORIZATION supabase_admin;
CREATE EXTENSION hstore SCHEMA extensions; CREATE EXTENSION citext SCHEMA extensions;
CREATE TABLE auth.users (id uuid PRIMARY KEY, email text); ALTER TABLE auth.users OWNER TO supabase_auth_admin;
CREATE TABLE auth.schema_migrations (version text); ALTER TABLE auth.schema_migrations OWNER TO supabase_auth_admin;
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE
    AS $$SELECT nullif(current_setting('request.jwt.claim.sub', true), '')::uuid$$;
ALTER FUNCTION auth.uid() OWNER TO supabase_auth_admin;
CREATE TABLE storage.objects (id uuid PRIMARY KEY, owner uuid, name text);
ALTER TABLE storage.objects OWNER TO supabase_storage_admin; ALTER TABLE storage.objects ENABLE ROW LEVEL SECURITY;
CREATE TABLE realtime.messages (id bigint PRIMARY KEY, topic text);
ALTER TABLE realtime.messages OWNER TO supabase_admin;
CREATE TABLE vault.secrets (id uuid PRIMARY KEY, secret text); ALTER TABLE vault.secrets OWNER TO supabase_admin;
GRANT USAGE ON SCHEMA auth, storage, extensions, realtime, vault, graphql TO {USER}, anon, authenticated, service_role;
GRANT SELECT, TRIGGER, REFERENCES ON ALL TABLES IN SCHEMA auth TO {USER};
GRANT SELECT ON ALL TABLES IN SCHEMA storage, realtime, vault TO {USER};
CREATE PUBLICATION supabase_realtime; ALTER PUBLICATION supabase_realtime OWNER TO {USER};
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_admin IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated;
ALTER DEFAULT PRIVILEGES FOR ROLE {USER} IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE {USER} IN SCHEMA public GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE {USER} IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE {USER} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE {USER} GRANT EXECUTE ON FUNCTIONS TO "{_ODD}";
INSERT INTO auth.users SELECT gen_random_uuid(), 'u' || n || '@example.com' FROM generate_series(1, 20) n;
"""
#: What the team makes of it.
APPLICATION = """
CREATE TYPE public.mood AS ENUM ('calm', 'alarmed');
CREATE TABLE public.profile (
    id uuid PRIMARY KEY REFERENCES auth.users, nick extensions.citext UNIQUE, mood public.mood, tags extensions.hstore
);
CREATE TABLE public.note (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner uuid REFERENCES public.profile, body text
);
CREATE TABLE public.secret (id int PRIMARY KEY, body text);
REVOKE ALL ON public.secret FROM anon, authenticated;
CREATE TABLE public.event (id int, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE public.event_2026 PARTITION OF public.event FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW public.nicks AS SELECT nick FROM public.profile;
CREATE MATERIALIZED VIEW public.moods AS SELECT mood, count(*) FROM public.profile GROUP BY mood;
CREATE FUNCTION public.greet() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
    AS $$BEGIN INSERT INTO public.profile (id) VALUES (NEW.id); RETURN NEW; END$$;
REVOKE ALL ON FUNCTION public.greet() FROM anon, authenticated;
CREATE TRIGGER on_auth_user_created AFTER INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION public.greet();
INSERT INTO public.profile SELECT id, email, 'calm', 'a=>1' FROM auth.users;
INSERT INTO public.note (owner, body) SELECT id, 'n' FROM public.profile;
INSERT INTO public.secret VALUES (1, 's'); INSERT INTO public.event VALUES (1, '2026-05-05');
REFRESH MATERIALIZED VIEW public.moods;
ALTER TABLE public.profile ENABLE ROW LEVEL SECURITY; ALTER TABLE public.note ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.note FORCE ROW LEVEL SECURITY; ALTER TABLE public.secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON public.profile TO authenticated USING (id = auth.uid());
CREATE POLICY own ON public.note TO authenticated USING (owner = auth.uid()) WITH CHECK (owner = auth.uid());
CREATE POLICY everybody ON public.note FOR SELECT TO anon USING (false);
GRANT SELECT (nick) ON public.profile TO authenticator; REVOKE DELETE, INSERT, UPDATE ON public.profile FROM anon;
ALTER PUBLICATION supabase_realtime ADD TABLE public.note;
COMMENT ON TABLE public.note IS 'what people write';
"""
#: Everything about access, definitions and rows that a restore in place must leave as it was.
_PICTURE = """
SELECT 'relation', c.oid::regclass::text, c.relkind::text || c.relrowsecurity || c.relforcerowsecurity,
       array(SELECT x::text FROM unnest(c.relacl) x ORDER BY 1)::text || c.relowner::regrole
       || coalesce(obj_description(c.oid, 'pg_class'), '')
FROM pg_class c WHERE c.relnamespace IN ('public'::regnamespace, 'auth'::regnamespace, 'storage'::regnamespace)
UNION ALL SELECT 'column', attrelid::regclass::text, attname, attacl::text FROM pg_attribute
    WHERE attrelid = 'public.profile'::regclass AND attnum > 0
UNION ALL SELECT 'policy', polrelid::regclass::text, polname || polcmd::text || polroles::regrole[]::text,
       coalesce(pg_get_expr(polqual, polrelid), '') || coalesce(pg_get_expr(polwithcheck, polrelid), '') FROM pg_policy
UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger
    WHERE NOT tgisinternal
UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION ALL SELECT 'function', oid::regprocedure::text, proowner::regrole::text,
       coalesce(array(SELECT x::text FROM unnest(proacl) x ORDER BY 1)::text, '') || prosrc FROM pg_proc
    WHERE pronamespace IN ('public'::regnamespace, 'auth'::regnamespace)
UNION ALL SELECT 'schema', nspname, nspowner::regrole::text,
       array(SELECT x::text FROM unnest(nspacl) x ORDER BY 1)::text FROM pg_namespace WHERE nspname !~ '^pg_'
UNION ALL SELECT 'default', defaclrole::regrole::text, defaclnamespace::regnamespace::text || defaclobjtype::text,
       array(SELECT x::text FROM unnest(defaclacl) x ORDER BY 1)::text FROM pg_default_acl
UNION ALL SELECT 'published', pubname, prrelid::regclass::text, '' FROM pg_publication_rel
    JOIN pg_publication p ON p.oid = prpubid
UNION ALL SELECT 'rows', 'note', count(*)::text, max(id)::text FROM public.note
UNION ALL SELECT 'rows', 'profile', count(*)::text, md5(string_agg(p::text, '' ORDER BY id)) FROM public.profile p
UNION ALL SELECT 'rows', 'others', (SELECT count(*) FROM public.secret)::text, (SELECT count(*) FROM public.event)::text
UNION ALL SELECT 'matview', 'moods', count::text, mood::text FROM public.moods
ORDER BY 1, 2, 3, 4"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project's database, and how its owner connects."""

    database: Database
    password: str

    @property
    def login(self) -> dict[str, Any]:
        """Options of modules, as the owner."""
        return {"login_user": USER, "login_password": self.password, "database": self.database.name}

    def picture(self) -> list[tuple[Any, ...]]:
        """What is compared."""
        return self.database.rows(_PICTURE)


@contextmanager
def project(server: PostgresServer) -> Iterator[Project]:
    """A project; its roles are gone afterwards."""
    password = secrets.token_hex(8)
    maintenance = Database(name="postgres", server=server)
    roles = [f'"{role}"' for role in (USER, *_API, _ODD, *_PLATFORM)]
    maintenance.execute(
        f"CREATE ROLE {USER} LOGIN CREATEDB CREATEROLE BYPASSRLS PASSWORD '{password}';"
        + "".join(f"CREATE ROLE {role} NOLOGIN;" for role in roles[1:])
    )
    try:
        # With its databases goes everything that the roles own.
        with fresh_database(server, "supa") as database:
            maintenance.execute(f"ALTER DATABASE {database.name} OWNER TO {USER}")
            database.execute(PLATFORM)
            database.execute(f"SET ROLE {USER}; {APPLICATION}")
            yield Project(database=database, password=password)
    finally:
        maintenance.execute(f"DROP ROLE {', '.join(roles)}")
