-- Sequences: state, direction, limits, ownership, and names.
CREATE SEQUENCE public.never_called START 5;
CREATE SEQUENCE public.called_once START 5;
SELECT nextval('public.called_once') \g /dev/null
CREATE SEQUENCE public.down AS smallint INCREMENT -3 MINVALUE -1000 MAXVALUE 10 START 10 CYCLE;
SELECT nextval('public.down') FROM generate_series(1, 5) \g /dev/null
CREATE SEQUENCE public.at_the_end AS int MAXVALUE 3;
SELECT nextval('public.at_the_end') FROM generate_series(1, 3) \g /dev/null
CREATE SEQUENCE public.set_not_called;
SELECT setval('public.set_not_called', 9223372036854775807, false) \g /dev/null
CREATE SEQUENCE "quote""d"."seq '1'" AS bigint CACHE 20 OWNED BY "quote""d"."user"."order";
CREATE SEQUENCE public.owned_elsewhere OWNED BY public.watched.w;
ALTER SEQUENCE public.down OWNER TO nasty_owner;
ALTER TABLE public.watched ALTER COLUMN w SET DEFAULT nextval('public.called_once');
COMMENT ON SEQUENCE public.down IS 'a sequence';
