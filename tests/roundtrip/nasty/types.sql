-- Types, domains, collations, operators, casts.
CREATE TYPE public.mood AS ENUM ('sad', 'happy', 'it''s "complicated"', '');
-- Positions between existing labels are stored as fractions, which a restore does not repeat.
ALTER TYPE public.mood ADD VALUE 'meh' BEFORE 'happy';
ALTER TYPE public.mood ADD VALUE 'bäh' AFTER 'sad';
ALTER TYPE public.mood OWNER TO nasty_owner;
COMMENT ON TYPE public.mood IS 'labels out of order';
CREATE TYPE public.no_labels AS ENUM ();

CREATE COLLATION public.c_copy FROM "C";
CREATE COLLATION "Odd Schema.1"."Coll. 1" (provider = libc, locale = 'C.UTF-8');
COMMENT ON COLLATION public.c_copy IS 'byte order';

CREATE DOMAIN public.positive AS numeric(12, 2) DEFAULT 1 NOT NULL
    CONSTRAINT "is positive" CHECK (VALUE > 0);
CREATE DOMAIN public.short_text AS text COLLATE "C" CHECK (length(VALUE) < 40);
COMMENT ON CONSTRAINT "is positive" ON DOMAIN public.positive IS 'on a domain''s constraint';
CREATE DOMAIN public.many_positives AS public.positive[];

CREATE TYPE public.address AS (street text, "house number" int, tags text[] COLLATE "C");
COMMENT ON COLUMN public.address."house number" IS 'of a composite type';
ALTER TYPE public.address ADD ATTRIBUTE gone int;
ALTER TYPE public.address DROP ATTRIBUTE gone;
ALTER TYPE public.address ADD ATTRIBUTE mood public.mood;

CREATE FUNCTION public.text_distance(a text, b text) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT abs(length(a) - length(b))::double precision $$;
CREATE TYPE public.textrange AS RANGE (
    SUBTYPE = text, COLLATION = "C", SUBTYPE_DIFF = public.text_distance, MULTIRANGE_TYPE_NAME = public."text ranges"
);

CREATE FUNCTION public.mood_to_int(public.mood) RETURNS int
    LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT length($1::text) $$;
CREATE CAST (public.mood AS int) WITH FUNCTION public.mood_to_int(public.mood) AS ASSIGNMENT;
COMMENT ON CAST (public.mood AS int) IS 'a cast';

CREATE FUNCTION public.same_length(text, text) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT length($1) = length($2) $$;
CREATE OPERATOR public.=|= (
    LEFTARG = text, RIGHTARG = text, FUNCTION = public.same_length, COMMUTATOR = OPERATOR(public.=|=),
    RESTRICT = eqsel, JOIN = eqjoinsel
);
COMMENT ON OPERATOR public.=|= (text, text) IS 'an operator';

-- An operator class of our own, with its family.
CREATE FUNCTION public.reverse_cmp(int, int) RETURNS int
    LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT pg_catalog.btint4cmp($2, $1) $$;
CREATE OPERATOR FAMILY public.reverse_family USING btree;
CREATE OPERATOR CLASS public.reverse_ops FOR TYPE int USING btree FAMILY public.reverse_family AS
    OPERATOR 1 > , OPERATOR 2 >= , OPERATOR 3 = , OPERATOR 4 <= , OPERATOR 5 < ,
    FUNCTION 1 public.reverse_cmp(int, int);
COMMENT ON OPERATOR CLASS public.reverse_ops USING btree IS 'downwards';

-- A base type with nothing but borrowed functions.
CREATE TYPE public.shell_only;
CREATE TYPE public.plain_text_twin;
CREATE FUNCTION public.twin_in(cstring) RETURNS public.plain_text_twin LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION public.twin_out(public.plain_text_twin) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE public.plain_text_twin (
    INPUT = public.twin_in, OUTPUT = public.twin_out, LIKE = text, CATEGORY = 'S', DEFAULT = 'tw''in'
);

CREATE CONVERSION public.latin_to_utf FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE ACCESS METHOD heap_twin TYPE TABLE HANDLER heap_tableam_handler;
COMMENT ON ACCESS METHOD heap_twin IS 'the heap under another name';
