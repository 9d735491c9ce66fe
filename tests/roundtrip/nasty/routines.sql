-- Functions, procedures, aggregates, triggers, rules, event triggers, a transform's worth of languages.
CREATE FUNCTION public."f ""odd""."(
    INOUT a int DEFAULT 1, VARIADIC rest text[] DEFAULT '{x,"y z"}', OUT "b c" text
) LANGUAGE plpgsql STABLE PARALLEL SAFE COST 7 SET search_path = public, pg_temp SET "nasty.x" = 'a,''b''' AS $body$
DECLARE quoted text := $inner$it's $$ dollars $$ $inner$;
BEGIN
    "b c" := quoted || array_to_string(rest, E'\t');
END $body$;
COMMENT ON FUNCTION public."f ""odd""."(int, text[]) IS 'a function';
CREATE FUNCTION public.overloaded(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION public.overloaded(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION public.new_style(a int, b int DEFAULT 2) RETURNS int
    LANGUAGE sql IMMUTABLE RETURN a + b;
CREATE FUNCTION public.new_block() RETURNS SETOF public.no_rows
    LANGUAGE sql STABLE ROWS 5 BEGIN ATOMIC SELECT id, v FROM public.no_rows; SELECT 1::bigint, 'v'::text; END;
CREATE FUNCTION public.tabular(n int) RETURNS TABLE (id int, "a b" text)
    LANGUAGE sql SECURITY DEFINER LEAKPROOF STRICT AS $$ SELECT n, n::text $$;
CREATE FUNCTION public.reads_unrestored() RETURNS int LANGUAGE sql AS $$ SELECT count(*)::int FROM public.customer $$;
CREATE PROCEDURE public.proc(INOUT a int, b public.mood DEFAULT 'sad')
    LANGUAGE plpgsql AS $$ BEGIN a := a + length(b::text); END $$;
COMMENT ON PROCEDURE public.proc(int, public.mood) IS 'a procedure';
ALTER FUNCTION public.overloaded(int) OWNER TO nasty_owner;

CREATE AGGREGATE public.join_all(text) (SFUNC = textcat, STYPE = text, INITCOND = '>', PARALLEL = SAFE);
CREATE AGGREGATE public.sum_moving(int) (
    SFUNC = int4pl, STYPE = int, INITCOND = '0', MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = int, MINITCOND = '0'
);
CREATE AGGREGATE public.rank_like(VARIADIC "any" ORDER BY VARIADIC "any") (
    SFUNC = ordered_set_transition_multi, STYPE = internal, FINALFUNC = rank_final, FINALFUNC_EXTRA, HYPOTHETICAL
);
COMMENT ON AGGREGATE public.join_all(text) IS 'an aggregate';

-- Triggers must not fire while rows are loaded: this one would raise, or change what it sees.
CREATE TABLE public.audit (id int GENERATED ALWAYS AS IDENTITY, what text);
CREATE TABLE public.watched (id int PRIMARY KEY, v text, w int);
INSERT INTO public.watched VALUES (1, 'a', 1), (2, 'b', 2);
CREATE FUNCTION public.watch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.audit (what) VALUES (TG_NAME || ' ' || TG_OP || ' ' || array_to_string(TG_ARGV, '|'));
    RETURN NEW;
END $$;
CREATE FUNCTION public.never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'triggers fired'; END $$;
CREATE TRIGGER "a trigger" BEFORE INSERT OR UPDATE OF v ON public.watched
    FOR EACH ROW WHEN (NEW.w > 0) EXECUTE FUNCTION public.watch('an ''argument''', '\x00', 'ü');
CREATE TRIGGER refuse BEFORE INSERT OR DELETE OR TRUNCATE ON public.watched EXECUTE FUNCTION public.never();
CREATE TRIGGER transition AFTER UPDATE ON public.watched REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION public.watch();
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON public.watched DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.watch('later');
CREATE TRIGGER switched_off AFTER DELETE ON public.watched FOR EACH ROW EXECUTE FUNCTION public.watch();
CREATE TRIGGER for_replicas AFTER DELETE ON public.watched FOR EACH ROW EXECUTE FUNCTION public.watch();
CREATE TRIGGER always AFTER DELETE ON public.watched FOR EACH ROW EXECUTE FUNCTION public.watch();
ALTER TABLE public.watched DISABLE TRIGGER switched_off;
ALTER TABLE public.watched ENABLE REPLICA TRIGGER for_replicas;
ALTER TABLE public.watched ENABLE ALWAYS TRIGGER always;
COMMENT ON TRIGGER "a trigger" ON public.watched IS 'a trigger';
CREATE TRIGGER on_partitioned AFTER INSERT ON public.event FOR EACH ROW EXECUTE FUNCTION public.watch();
ALTER TABLE public.event_2025 DISABLE TRIGGER on_partitioned;

CREATE RULE "no delete" AS ON DELETE TO public."MixedCase" DO INSTEAD NOTHING;
CREATE RULE log_it AS ON INSERT TO public.mixedcase WHERE NEW.id > 10
    DO ALSO (INSERT INTO public.audit (what) VALUES ('rule'); DELETE FROM public.audit WHERE what IS NULL);
CREATE RULE tell AS ON UPDATE TO public.mixedcase DO ALSO NOTIFY nasty;
ALTER TABLE public.mixedcase DISABLE RULE log_it;
COMMENT ON RULE "no delete" ON public."MixedCase" IS 'a rule';

CREATE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE DEBUG 'ddl'; END $$;
CREATE EVENT TRIGGER "nasty ddl" ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'DROP TABLE')
    EXECUTE FUNCTION public.on_ddl();
CREATE EVENT TRIGGER nasty_off ON sql_drop EXECUTE FUNCTION public.on_ddl();
ALTER EVENT TRIGGER nasty_off DISABLE;
COMMENT ON EVENT TRIGGER "nasty ddl" IS 'an event trigger';
-- One that refuses: a restore has to create it after everything else.
CREATE FUNCTION public.no_more_tables() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no more tables'; END $$;
CREATE EVENT TRIGGER refuse_tables ON ddl_command_start WHEN TAG IN ('CREATE FOREIGN TABLE')
    EXECUTE FUNCTION public.no_more_tables();
ALTER EVENT TRIGGER refuse_tables DISABLE;

-- pg_dump carries a language only together with a handler outside pg_catalog.
CREATE FUNCTION public.twin_handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE LANGUAGE plpgsql_twin HANDLER public.twin_handler;
COMMENT ON LANGUAGE plpgsql_twin IS 'a language';
CREATE FUNCTION public.in_twin() RETURNS int LANGUAGE plpgsql_twin AS $$ BEGIN RETURN 1; END $$;
