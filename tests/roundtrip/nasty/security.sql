-- Row level security, owners, privileges, default privileges. Last, so that everything is there to be granted.
CREATE TABLE public.tenant_row (id int PRIMARY KEY, tenant text, v text);
INSERT INTO public.tenant_row SELECT n, CASE WHEN n % 2 = 0 THEN 'nasty_app' ELSE 'other' END, 'row ' || n
FROM generate_series(1, 50) AS n;
ALTER TABLE public.tenant_row OWNER TO nasty_owner;
ALTER TABLE public.tenant_row ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY "own ""rows""" ON public.tenant_row FOR SELECT TO nasty_app, "Nasty ""quoted"" Rôle"
    USING (tenant = current_user);
CREATE POLICY only_own ON public.tenant_row AS RESTRICTIVE FOR UPDATE USING (tenant <> 'x') WITH CHECK (v IS NOT NULL);
CREATE POLICY for_all ON public.tenant_row USING (EXISTS (SELECT FROM public.team WHERE name = tenant));
COMMENT ON POLICY only_own ON public.tenant_row IS 'a policy';
CREATE TABLE public.enabled_without_policy (id int);
INSERT INTO public.enabled_without_policy VALUES (1);
ALTER TABLE public.enabled_without_policy ENABLE ROW LEVEL SECURITY;
CREATE TABLE public.policy_without_enabled (id int);
CREATE POLICY waiting ON public.policy_without_enabled FOR DELETE TO PUBLIC USING (true);
CREATE TABLE public.forced_only (id int);
ALTER TABLE public.forced_only FORCE ROW LEVEL SECURITY;

GRANT USAGE, CREATE ON SCHEMA public TO nasty_owner WITH GRANT OPTION;
REVOKE USAGE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO nasty_app, nasty_reader, "Nasty ""quoted"" Rôle";
GRANT USAGE ON SCHEMA "Odd Schema.1" TO PUBLIC;
GRANT ALL ON SCHEMA ext TO nasty_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO nasty_reader;
REVOKE ALL ON public.no_rows FROM nasty_reader, CURRENT_USER;
GRANT SELECT (id), UPDATE ("Value") ON public."MixedCase" TO "Nasty ""quoted"" Rôle" WITH GRANT OPTION;
GRANT INSERT, DELETE, TRUNCATE, REFERENCES, TRIGGER ON public.watched TO nasty_app WITH GRANT OPTION;
-- Granted by one who had it with grant option, which must come back as granted by that role.
GRANT SELECT ON public.customer TO nasty_app WITH GRANT OPTION;
SET ROLE nasty_app;
GRANT SELECT ON public.customer TO "Nasty ""quoted"" Rôle";
RESET ROLE;
REVOKE SELECT ON public.tenant_row FROM nasty_owner;
GRANT USAGE ON SEQUENCE public.down TO nasty_app;
GRANT EXECUTE ON FUNCTION public.overloaded(text) TO nasty_app;
REVOKE EXECUTE ON FUNCTION public.overloaded(text), public.tabular(int) FROM PUBLIC;
REVOKE ALL ON PROCEDURE public.proc(int, public.mood) FROM PUBLIC, CURRENT_USER;
REVOKE USAGE ON TYPE public.mood FROM PUBLIC;
GRANT USAGE ON TYPE public.mood TO nasty_app;
GRANT USAGE ON TYPE public.positive TO "nasty group";
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
GRANT USAGE ON LANGUAGE plpgsql TO nasty_owner, nasty_app;
GRANT USAGE ON FOREIGN SERVER "server 1" TO nasty_app WITH GRANT OPTION;
GRANT USAGE ON FOREIGN DATA WRAPPER nothing TO nasty_reader;
-- On what came with the server, and on what came with an extension.
REVOKE EXECUTE ON FUNCTION pg_catalog.pg_sleep(double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text) TO nasty_reader;
GRANT SELECT (rolname) ON pg_catalog.pg_authid TO nasty_reader;
REVOKE EXECUTE ON FUNCTION ext.crypt(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ext.crypt(text, text) TO "nasty group";

ALTER DEFAULT PRIVILEGES FOR ROLE nasty_owner GRANT SELECT ON TABLES TO nasty_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE nasty_owner IN SCHEMA "quote""d" GRANT ALL ON SEQUENCES TO "Nasty ""quoted"" Rôle";
ALTER DEFAULT PRIVILEGES FOR ROLE nasty_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE "Nasty ""quoted"" Rôle" GRANT USAGE ON TYPES TO nasty_app WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE nasty_owner GRANT USAGE ON SCHEMAS TO nasty_reader;

ALTER TABLE public.event OWNER TO nasty_owner;
ALTER TABLE public.event_2025 OWNER TO "Nasty ""quoted"" Rôle";
ALTER VIEW public.over_view OWNER TO nasty_app;
ALTER MATERIALIZED VIEW public.mat_empty OWNER TO nasty_owner;
SELECT format('ALTER DATABASE %I OWNER TO nasty_owner', current_database()) \gexec
