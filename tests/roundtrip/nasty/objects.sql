-- Large objects, text search, foreign data, publications.
SELECT lo_from_bytea(7001, decode(repeat('00ff0a5c', 5000), 'hex')) \g /dev/null
SELECT lo_from_bytea(4294967295, 'the greatest oid') \g /dev/null
SELECT lo_create(7002) \g /dev/null
SELECT lo_from_bytea(7003, 'with a hole') \g /dev/null
SELECT lo_put(7003, 100000, 'far away') \g /dev/null
SELECT lo_from_bytea((8000 + n)::oid, convert_to('object ' || n, 'UTF8')) FROM generate_series(1, 1100) AS n \g /dev/null
COMMENT ON LARGE OBJECT 7001 IS 'a large object';
ALTER LARGE OBJECT 7001 OWNER TO nasty_owner;
GRANT SELECT ON LARGE OBJECT 7001, 7003 TO nasty_reader;
GRANT UPDATE ON LARGE OBJECT 7001 TO "Nasty ""quoted"" Rôle" WITH GRANT OPTION;
CREATE TABLE public.has_object (id int, content oid);
INSERT INTO public.has_object VALUES (1, 7001), (2, 4294967295);

CREATE TEXT SEARCH DICTIONARY public."dict 1" (TEMPLATE = snowball, Language = english, StopWords = english);
CREATE TEXT SEARCH DICTIONARY public.plain (TEMPLATE = simple, Accept = false);
CREATE TEXT SEARCH CONFIGURATION public.config (COPY = pg_catalog.simple);
ALTER TEXT SEARCH CONFIGURATION public.config ALTER MAPPING FOR asciiword, word WITH public.plain, public."dict 1";
ALTER TEXT SEARCH CONFIGURATION public.config DROP MAPPING FOR url;
CREATE TEXT SEARCH PARSER public.parser (
    START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype, HEADLINE = prsd_headline
);
CREATE TEXT SEARCH TEMPLATE public.template (INIT = dsimple_init, LEXIZE = dsimple_lexize);
COMMENT ON TEXT SEARCH CONFIGURATION public.config IS 'a configuration';
CREATE TABLE public.searched (t text, v tsvector);
CREATE INDEX searched_config ON public.searched USING gin (to_tsvector('public.config', t));
CREATE TRIGGER fill BEFORE INSERT ON public.searched
    FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(v, 'public.config', t);
INSERT INTO public.searched (t) VALUES ('The quick brown foxes jumped'), (NULL);

-- Never called, so any functions of the right types will do.
CREATE TRANSFORM FOR int LANGUAGE sql (
    FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal)
);
COMMENT ON TRANSFORM FOR int LANGUAGE sql IS 'a transform';

CREATE FOREIGN DATA WRAPPER nothing OPTIONS ("an option" 'it''s');
CREATE SERVER "server 1" TYPE 't' VERSION 'v' FOREIGN DATA WRAPPER nothing
    OPTIONS (host 'nowhere.invalid', dbname 'a "b"', port '1');
ALTER SERVER "server 1" OWNER TO nasty_owner;
CREATE USER MAPPING FOR nasty_app SERVER "server 1" OPTIONS (user 'u', password 'not a secret');
CREATE USER MAPPING FOR PUBLIC SERVER "server 1" OPTIONS (user 'p');
CREATE FOREIGN TABLE public.far_away (id int OPTIONS (column_name 'ID') NOT NULL, v text) SERVER "server 1"
    OPTIONS (schema_name 's', table_name 't"1');
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE public.in_file (line text) SERVER files OPTIONS (filename '/nowhere/at all', format 'csv');
COMMENT ON SERVER "server 1" IS 'a server';
COMMENT ON FOREIGN DATA WRAPPER nothing IS 'a wrapper';

CREATE PUBLICATION "pub 1" FOR TABLE public.watched (id, w) WHERE (w > 0), public.event
    WITH (publish = 'insert, update', publish_via_partition_root = true);
CREATE PUBLICATION by_schema FOR TABLES IN SCHEMA "quote""d", TABLE public.no_rows;
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE PUBLICATION nothing_yet;
COMMENT ON PUBLICATION "pub 1" IS 'a publication';
ALTER PUBLICATION by_schema OWNER TO CURRENT_USER;
