-- A database made of everything that is easy to lose in a dump and restore.
--
-- For psql, into an empty database, as a superuser:   psql -v ON_ERROR_STOP=1 -f nasty.sql
-- PostgreSQL 15 and later; what a newer major adds is in nasty/newer.sql behind a gate on the server's version.
-- Nothing in here depends on time or chance: two loads give equal databases.
\set QUIET on
SET client_min_messages = warning;
SET client_encoding = 'UTF8';
SET TimeZone = 'UTC';
SET check_function_bodies = on;

\ir nasty/roles.sql
\ir nasty/database.sql
\ir nasty/types.sql
\ir nasty/tables.sql
\ir nasty/partitions.sql
\ir nasty/routines.sql
\ir nasty/views.sql
\ir nasty/values.sql
\ir nasty/sequences.sql
\ir nasty/objects.sql
\ir nasty/newer.sql
\ir nasty/security.sql
