-- Values that text formats, quoting, and number formats get wrong.
CREATE TABLE public.value (
    id int PRIMARY KEY, t text, b bytea, f4 real, f8 double precision, n numeric, m money, ts timestamp, tz timestamptz,
    d date, tm time, ttz timetz, i interval, j json, jb jsonb, x xml, u uuid, inet inet, cidr cidr, mac macaddr,
    bits bit varying, c char(5), ch "char", nm name, pt point, pol polygon, cir circle, path path,
    r int4range, mr int4multirange, tr public.textrange, tmr public."text ranges", dr daterange,
    ia int[], ta text[], aa public.address[], a public.address, mo public.mood, mos public.mood[],
    p public.positive DEFAULT 5, ps public.many_positives, tsv tsvector, tsq tsquery, jp jsonpath,
    h "Odd Schema.1".hstore, ci ext.citext, lt ext.ltree, reg regclass, rp regprocedure, rt regtype,
    lsn pg_lsn, x8 xid8, twin public.plain_text_twin, doc public.short_text
);
INSERT INTO public.value (id) SELECT n FROM generate_series(1, 12) AS n;
UPDATE public.value SET t = '', b = '', n = 'NaN', f4 = 'NaN', f8 = '-Infinity', ts = 'infinity', tz = '-infinity',
    d = 'infinity', ia = '{}', ta = '{}', jb = '{}', j = '  {"a" : 1,  "a":2}', x = '<a b="c">&lt;ü</a>', tsv = '', r = 'empty',
    mr = '{}', c = '', ch = '', i = '0', h = '', mos = '{}' WHERE id = 1;
UPDATE public.value SET t = E'\\N', b = '\x00ff5c0a0d09', n = 'Infinity', f4 = 'Infinity', f8 = 'NaN', ts = '-infinity',
    d = '-infinity', ia = '[-1:1]={1,NULL,3}', ta = ARRAY[NULL, 'NULL', '', 'a"b\c', '{x}', E'\n'],
    j = '"\u00fc\n"', jb = '[1e400, -0.0, null, "\\u0041"]', r = '[1,5)', mr = '{[1,3),[7,9)}', c = 'ab   ',
    i = '-1 year 2 mons -3 days 04:05:06.789' WHERE id = 2;
UPDATE public.value SET t = E'tab\there\nnew line\r\nback\\slash \\. end', b = decode(repeat('00', 300), 'hex'),
    n = '-0.000000000000000000000000000000000000000000000000000000000000000000001', f4 = 1e-45, f8 = 5e-324,
    m = '-12.34', ts = '4713-01-01 00:00:00 BC', tz = '294276-12-31 23:59:59.999999+00', d = '4713-01-01 BC',
    tm = '24:00:00', ttz = '23:59:59.999999-15:59', u = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
    inet = '::ffff:1.2.3.4/128', cidr = '10.0.0.0/8', mac = '08:00:2b:01:02:03', bits = B'', nm = 'name with space',
    pt = '(1e300,-1e-300)', pol = '((0,0),(1,1),(2,0))', cir = '<(1,2),3>', path = '[(0,0),(1,1)]' WHERE id = 3;
UPDATE public.value SET t = E'\u0001\u007f\uFEFF\U0001F600 e\u0301 \u202e', f4 = 3.4028235e38, f8 = 0.1 + 0.2,
    n = repeat('9', 500)::numeric, tr = '["a","z""\\")', tmr = '{["a","b"),["x",)}', dr = '[2026-01-01,infinity)',
    aa = ARRAY[ROW('s, (")', NULL, '{"a,b",NULL}', 'it''s "complicated"')::public.address, NULL],
    a = ROW('', NULL, '{}', '')::public.address, mo = '', mos = ARRAY['sad', NULL, '', 'bäh']::public.mood[] WHERE id = 4;
UPDATE public.value SET p = 0.01, ps = '{1,2.50}', tsv = '''it''''s'':1A "quote":2,3B', tsq = '''a b'' & !c:*AB <2> d',
    jp = 'strict $."a b"[*] ? (@.x > 1)', h = '"a b"=>"c\"d", e=>NULL', ci = 'MiXeD', lt = 'a.b.c',
    reg = '"Odd Schema.1"."Odd.Table ""1"" $(x) `y` \ 100%"', rp = 'public.overloaded(text)', rt = 'public.mood[]',
    lsn = 'FFFFFFFF/FFFFFFFF', x8 = '18446744073709551615', twin = 'twin', doc = 'ünï' WHERE id = 5;
-- Out of line, compressed and not; one row above a COPY buffer; text that looks like the end of COPY.
UPDATE public.value SET t = (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 20000) AS n) WHERE id = 6;
UPDATE public.value SET t = repeat('compress me ', 500000) WHERE id = 7;
UPDATE public.value SET b = (SELECT string_agg(decode(md5(n::text), 'hex'), '') FROM generate_series(1, 20000) AS n) WHERE id = 8;
UPDATE public.value SET t = E'\\.', ta = ARRAY[E'\\.', E'\n\\.\n'] WHERE id = 9;
UPDATE public.value SET ia = array_fill(7, ARRAY[3, 2, 2]), ta = (SELECT array_agg(n::text) FROM generate_series(1, 5000) n) WHERE id = 10;
COMMENT ON COLUMN public.value.b IS 'bytea';

INSERT INTO "Odd Schema.1"."Odd.Table ""1"" $(x) `y` \ 100%" VALUES (1, 'a', 'b', 'c', 'd', E'e\nf', '*', 'g'), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.abcdefghijklmnopqrstuvwxyz0123456789_abcdefghijklmnopqrstuvwxyz SELECT generate_series(1, 100);
INSERT INTO public."MixedCase" VALUES (1, 'Upper'), (2, NULL), (3, '');
INSERT INTO public.mixedcase VALUES (1, 'lower');
INSERT INTO public."t*?|[a-z]" VALUES (1);
INSERT INTO public."-t" VALUES (1), (1), (1);
INSERT INTO "quote""d"."user" VALUES (1, 2);
INSERT INTO public.unlogged VALUES (1, 'kept'), (2, 'by a dump');
INSERT INTO public.generated (price, quantity) SELECT n * 1.1, n FROM generate_series(1, 20) AS n;
INSERT INTO public.customer (email, notes, balance)
SELECT 'User' || n || '@example.org', CASE WHEN n % 3 > 0 THEN 'note ' || n END, n FROM generate_series(1, 200) AS n;
UPDATE public.customer SET home = NULL WHERE id % 5 = 0;
DELETE FROM public.customer WHERE id % 7 = 0;
BEGIN;
INSERT INTO public.team VALUES (1, 'red', NULL, 2), (2, 'blue', NULL, 1), (3, 'green', NULL, 3);
INSERT INTO public.member SELECT n, n % 3 + 1, n, n * 2 FROM generate_series(1, 9) AS n;
UPDATE public.team SET lead = id;
COMMIT;
INSERT INTO public.membership VALUES (1, 2, 'both'), (NULL, NULL, 'none'), (2, 4, NULL);
INSERT INTO public.booking SELECT 1, tstzrange('2026-01-01', '2026-02-01'), true FROM generate_series(1, 2);
INSERT INTO public.booking VALUES (1, '[2026-03-01,)'), (2, NULL), (2, 'empty');
INSERT INTO public.indexed
SELECT n, 'Text ' || n, jsonb_build_object('k', n), ARRAY[n, n + 1], "Odd Schema.1".hstore('n', n::text),
    ('a.b' || n)::ext.ltree, '2026-01-01'::date + n
FROM generate_series(1, 300) AS n;
INSERT INTO public.identity_full VALUES (1, 1), (1, 1), (NULL, NULL);
INSERT INTO public.identity_index VALUES (1, 1), (2, NULL);
INSERT INTO public.other_storage VALUES (1, 'heap');
INSERT INTO public.typed VALUES ('s', 1, '{}', 'meh');

-- Constraints that hold for new rows only: the old ones break them, and must come back all the same.
ALTER DOMAIN public.positive ADD CONSTRAINT not_validated CHECK (VALUE <> 13) NOT VALID;
ALTER TABLE public.customer ADD CONSTRAINT not_valid_yet CHECK (balance <> 50) NOT VALID;
INSERT INTO public.membership VALUES (9, 18, 'no such team');
ALTER TABLE public.membership ADD CONSTRAINT unchecked FOREIGN KEY (x) REFERENCES public.team (id) NOT VALID;
