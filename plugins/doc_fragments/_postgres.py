# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the connection to PostgreSQL, in step with ``CONNECTION_SPEC`` of ``_postgres/connect.py``."""

from __future__ import annotations


class ModuleDocFragment:
    """C(ops.runbooks._postgres) for every module that connects to PostgreSQL."""

    DOCUMENTATION = r"""
options:
  database_url:
    description:
      - The connection as a URL, such as V(postgresql://user:password@host:5432/database?sslmode=require).
      - Excludes all other options of the connection. Several hosts, and every parameter that libpq knows, may be in it.
      - Parameters that are meant for other software (C(pgbouncer), C(connection_limit), C(pool_timeout), C(schema),
        C(supa) and the like) are left out, with a warning that names them.
    type: str
  login_host:
    description:
      - The host of the server. V(localhost) where neither this nor O(login_unix_socket) is given, but another option of
        the connection is.
    type: str
  login_port:
    description:
      - The port of the server; V(5432) where it is not given.
    type: int
  login_user:
    description:
      - The role to log in as; the name of the operating system's user where it is not given.
    type: str
  login_password:
    description:
      - The password of O(login_user). Without one E(PGPASSWORD) and the password file are looked at.
    type: str
  login_unix_socket:
    description:
      - The directory that holds the server's Unix socket. Excludes O(login_host).
    type: str
  ssl_mode:
    description:
      - How the connection is encrypted and the server recognised, as libpq's C(sslmode).
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
  ca_cert:
    description:
      - The file with the certificates of the authorities that the server's certificate is checked against.
    type: path
  database:
    description:
      - The database on the server.
    type: str
  connection_fallback:
    description:
      - Where no option describes a connection, take the first that is set of E(RUNBOOKS_DATABASE_URL), E(DIRECT_URL),
        E(POSTGRES_URL_NON_POOLING) and E(DATABASE_URL), and else libpq's variables E(PGHOST), E(PGDATABASE) and so on.
      - A variable that is set but empty is an error. The result names the one that was used.
    type: bool
    default: true
requirements:
  - psycopg >= 3.2
notes:
  - The connection has to be a session with the server. Transaction poolers (port V(6543) at Supabase, hosts with
    C(-pooler) at Neon, PgBouncer in transaction mode) are recognised and refused; session poolers are accepted.
"""
