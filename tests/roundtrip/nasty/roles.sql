-- Roles belong to the server: made where missing, shared by every nasty database there.
SELECT format('CREATE ROLE %I %s', name, attributes)
FROM (VALUES
    ('nasty_owner', 'NOLOGIN'),
    ('nasty_app', 'LOGIN NOBYPASSRLS'),
    ('nasty_reader', 'NOLOGIN'),
    ('Nasty "quoted" Rôle', 'NOLOGIN'),
    ('nasty group', 'NOLOGIN')
) AS wanted (name, attributes)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
GRANT nasty_reader TO nasty_app;
GRANT "nasty group" TO "Nasty ""quoted"" Rôle" WITH ADMIN OPTION;
