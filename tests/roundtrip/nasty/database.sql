-- What hangs on the database itself: dumped only by pg_dump --create, or carried by our manifest.
SELECT current_database() AS database \gset
GRANT CREATE ON DATABASE :"database" TO nasty_owner;
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO nasty_app, "Nasty ""quoted"" Rôle";
GRANT TEMPORARY ON DATABASE :"database" TO "nasty group" WITH GRANT OPTION;
COMMENT ON DATABASE :"database" IS E'It''s a "comment" on the database;\n-- with a second line \\ and ünïcode';
ALTER DATABASE :"database" SET statement_timeout = '17min';
ALTER DATABASE :"database" SET search_path = public, "Odd Schema.1";
ALTER DATABASE :"database" SET "nasty.custom" = 'it''s, "custom"';
ALTER DATABASE :"database" CONNECTION LIMIT 77;
ALTER ROLE nasty_app IN DATABASE :"database" SET work_mem = '5MB';
ALTER ROLE "Nasty ""quoted"" Rôle" IN DATABASE :"database" SET DateStyle = 'German, DMY';

-- The rest of this session must not see the settings just made.
SET search_path = public;

CREATE SCHEMA "Odd Schema.1" AUTHORIZATION nasty_owner;
CREATE SCHEMA "quote""d" AUTHORIZATION "Nasty ""quoted"" Rôle";
CREATE SCHEMA ext;
CREATE SCHEMA empty_schema;
COMMENT ON SCHEMA "quote""d" IS 'schema of a role with a quote in its name';
COMMENT ON SCHEMA public IS 'not the usual comment';

CREATE EXTENSION pg_trgm SCHEMA ext;
CREATE EXTENSION pgcrypto SCHEMA ext;
CREATE EXTENSION btree_gist SCHEMA ext;
CREATE EXTENSION hstore SCHEMA "Odd Schema.1";
CREATE EXTENSION citext SCHEMA ext;
CREATE EXTENSION ltree SCHEMA ext;
CREATE EXTENSION file_fdw SCHEMA ext;
COMMENT ON EXTENSION pg_trgm IS 'a comment that is not the extension''s own';
