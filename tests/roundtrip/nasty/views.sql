-- Views and materialized views.
CREATE VIEW public."view ""1""" (a, "b c") WITH (security_barrier = true) AS
    SELECT id, "Value" FROM public."MixedCase" WHERE id > 0;
CREATE VIEW public.checked WITH (security_invoker = true) AS SELECT id, v FROM public.no_rows WHERE id < 100
    WITH CASCADED CHECK OPTION;
CREATE VIEW public.over_view AS SELECT * FROM public."view ""1""" UNION ALL SELECT 1, 'x' ORDER BY 1;
CREATE RECURSIVE VIEW public.counting (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM counting WHERE n < 5;
ALTER VIEW public."view ""1""" ALTER COLUMN a SET DEFAULT 7;
COMMENT ON VIEW public.over_view IS 'a view';
COMMENT ON COLUMN public.over_view.a IS 'a view''s column';
CREATE RULE on_view AS ON INSERT TO public.over_view DO INSTEAD INSERT INTO public.audit (what) VALUES (NEW."b c");
CREATE FUNCTION public.for_view() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER instead_of INSTEAD OF DELETE ON public."view ""1""" FOR EACH ROW EXECUTE FUNCTION public.for_view();

-- Two views that need each other: pg_dump breaks the circle with an empty one.
CREATE VIEW public.circle_a AS SELECT 1 AS x;
CREATE FUNCTION public.circle() RETURNS SETOF public.circle_a LANGUAGE sql BEGIN ATOMIC SELECT x FROM public.circle_a; END;
CREATE OR REPLACE VIEW public.circle_a AS SELECT (SELECT 1 FROM public.watched LIMIT 1) AS x;
-- A view that needs a primary key, for its GROUP BY, which a restore adds after the data.
CREATE VIEW public.needs_key AS SELECT id, v, count(*) AS n FROM public.watched GROUP BY id;

CREATE MATERIALIZED VIEW public.mat AS SELECT id, v, w FROM public.watched WITH DATA;
CREATE UNIQUE INDEX mat_id ON public.mat (id);
CREATE MATERIALIZED VIEW public.mat_on_mat WITH (fillfactor = 60) AS SELECT count(*) AS n, sum(w) AS w FROM public.mat;
CREATE MATERIALIZED VIEW public.mat_via_function AS SELECT public.new_style(id) AS f FROM public.mat_on_mat, public.mat;
CREATE MATERIALIZED VIEW public.mat_empty AS SELECT id FROM public.watched WITH NO DATA;
CREATE INDEX mat_empty_id ON public.mat_empty (id);
CREATE VIEW public.over_mat AS SELECT * FROM public.mat_empty;
ALTER MATERIALIZED VIEW public.mat CLUSTER ON mat_id;
COMMENT ON MATERIALIZED VIEW public.mat IS 'a materialized view';
