-- What PostgreSQL 15 does not know. Each gate names the first major that does.
SELECT current_setting('server_version_num')::int >= 160000 AS has16,
       current_setting('server_version_num')::int >= 170000 AS has17,
       current_setting('server_version_num')::int >= 180000 AS has18 \gset

\if :has16
GRANT "nasty group" TO nasty_app WITH INHERIT FALSE, SET TRUE;
CREATE TABLE public.storage_default (a text STORAGE EXTENDED COMPRESSION DEFAULT);
CREATE DOMAIN public.big AS bigint DEFAULT 0x7FFF_FFFF;
\endif

\if :has17
CREATE EVENT TRIGGER nasty_login ON login EXECUTE FUNCTION public.on_ddl();
ALTER EVENT TRIGGER nasty_login DISABLE;
CREATE COLLATION public.builtin_c (provider = builtin, locale = 'C.UTF-8');
CREATE TABLE public.identity_partitioned (id int GENERATED ALWAYS AS IDENTITY, k int) PARTITION BY LIST (k);
CREATE TABLE public.identity_partition PARTITION OF public.identity_partitioned FOR VALUES IN (1);
INSERT INTO public.identity_partitioned (k) VALUES (1), (1);
CREATE VIEW public.json_rows AS
    SELECT * FROM json_table('[{"a": 1}, {"a": null}]'::jsonb, '$[*]' COLUMNS (n FOR ORDINALITY, a int PATH '$.a')) AS j;
GRANT MAINTAIN ON public.indexed TO nasty_reader;
\endif

\if :has18
CREATE TABLE public.virtual (
    a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL, plain text STORAGE PLAIN, c int GENERATED ALWAYS AS (a * 3) STORED,
    CONSTRAINT not_enforced CHECK (a > 0) NOT ENFORCED,
    CONSTRAINT "a is there" NOT NULL a
);
INSERT INTO public.virtual (a) VALUES (-1), (2);
ALTER TABLE public.virtual ADD CONSTRAINT c_not_null NOT NULL c NOT VALID;
COMMENT ON CONSTRAINT "a is there" ON public.virtual IS 'not null has a name now';
CREATE TABLE public.not_null_parent (id int, CONSTRAINT own NOT NULL id NO INHERIT);
CREATE TABLE public.not_null_child () INHERITS (public.not_null_parent);
CREATE TABLE public.temporal (
    id int, valid daterange, v text, CONSTRAINT temporal_key PRIMARY KEY (id, valid WITHOUT OVERLAPS)
);
CREATE TABLE public.temporal_child (
    id int, valid daterange,
    CONSTRAINT temporal_reference FOREIGN KEY (id, PERIOD valid) REFERENCES public.temporal (id, PERIOD valid)
);
INSERT INTO public.temporal VALUES (1, '[2026-01-01,2026-06-01)', 'a'), (1, '[2026-06-01,)', NULL);
INSERT INTO public.temporal_child VALUES (1, '[2026-02-01,2026-07-01)');
CREATE TABLE public.unenforced_key (id int, CONSTRAINT hint FOREIGN KEY (id) REFERENCES public.watched NOT ENFORCED);
INSERT INTO public.unenforced_key VALUES (-99);
CREATE PUBLICATION with_generated FOR TABLE public.virtual WITH (publish_generated_columns = stored);
CREATE FUNCTION public.old_and_new() RETURNS int LANGUAGE sql
    BEGIN ATOMIC UPDATE public.no_rows SET v = v RETURNING OLD.id, NEW.id; SELECT 1; END;
\endif
