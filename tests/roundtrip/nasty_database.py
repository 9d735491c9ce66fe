# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Load ``nasty.sql``, and reach a database whatever its name is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from psycopg.conninfo import make_conninfo

from sandbox.pagila import psql

if TYPE_CHECKING:
    from harness.servers import Database

SCRIPT = Path(__file__).parent / "nasty.sql"

#: A beginning for database names that programs tend to quote, encode or take for something else: libpq reads a name
#: with an equals sign as a connection string.
NAME = "Nasty = \"quoted\" 'ü' 100%\\"

#: The roles that the script makes on the server; they stay, and a second load finds them.
ROLES = ("nasty_owner", "nasty_app", "nasty_reader", 'Nasty "quoted" Rôle', "nasty group")


def load(database: Database) -> None:
    """Fill an empty database, as a superuser."""
    psql(database.server, database.name, "--file", str(SCRIPT))


def conninfo(database: Database) -> str:
    """A libpq connection string in which the name may hold anything."""
    server = database.server
    return make_conninfo(
        host=server.host, port=server.port, user=server.user, password=server.password, dbname=database.name
    )
