# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writers that keep books, so that a restored database can be proven to be one moment of a busy one.

Each transaction of a writer has a number, changes four tables, and notes how far it saw the other writers. In a copy
of one moment, whichever it is, numbers have no gaps, the tables agree with each other, and what a transaction saw is
there.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self

import psycopg

WRITERS = 3
#: For each writer.
ACCOUNTS = 50
#: An item waits in the queue for so many transactions of its writer.
QUEUED = 5

_TABLES = """
CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL DEFAULT 0);
CREATE TABLE entry (
    id bigserial PRIMARY KEY, writer int, n int, debit int, credit int, amount bigint, saw int[], UNIQUE (writer, n)
);
CREATE TABLE queue (writer int, n int, PRIMARY KEY (writer, n));
CREATE TABLE zz_done (writer int, n int, PRIMARY KEY (writer, n));
-- Dumped between the others, which makes the dump last.
CREATE TABLE filler AS SELECT n, repeat(md5(n::text), 10) AS v FROM generate_series(1, 100000) AS n;
"""

_TRANSACTION = """
WITH saw AS (
    SELECT array_agg(coalesce(last, 0) ORDER BY writer) AS saw FROM generate_series(0, %(writers)s - 1) AS writer,
        LATERAL (SELECT max(e.n) AS last FROM entry AS e WHERE e.writer = writer.writer) AS l
), booked AS (
    INSERT INTO entry (writer, n, debit, credit, amount, saw)
    SELECT %(writer)s, %(n)s, %(debit)s, %(credit)s, %(amount)s, saw FROM saw
), paid AS (
    UPDATE account SET balance = balance + CASE id WHEN %(debit)s THEN - %(amount)s ELSE %(amount)s END
    WHERE id IN (%(debit)s, %(credit)s)
), queued AS (
    INSERT INTO queue VALUES (%(writer)s, %(n)s)
), taken AS (
    DELETE FROM queue WHERE writer = %(writer)s AND n = %(n)s - %(queued)s RETURNING writer, n
)
INSERT INTO zz_done SELECT writer, n FROM taken
"""

#: Each must give no row. Name to query.
_RULES = {
    "a gap in a writer's numbers": "SELECT writer FROM entry GROUP BY writer HAVING max(n) <> count(*) OR min(n) <> 1",
    "a balance that is not the sum of its entries": """
        SELECT a.id FROM account AS a WHERE balance <> coalesce((SELECT sum(amount) FROM entry WHERE credit = a.id), 0)
            - coalesce((SELECT sum(amount) FROM entry WHERE debit = a.id), 0)""",
    "an item that is not exactly where it should be": f"""
        SELECT writer, n FROM entry AS e JOIN (SELECT writer, max(n) AS last FROM entry GROUP BY writer) AS l
            USING (writer)
        WHERE EXISTS (SELECT FROM queue AS q WHERE q.writer = e.writer AND q.n = e.n) <> (n > last - {QUEUED})
        OR EXISTS (SELECT FROM zz_done AS d WHERE d.writer = e.writer AND d.n = e.n) <> (n <= last - {QUEUED})""",
    "an item without its entry": """
        SELECT writer, n FROM (TABLE queue UNION ALL TABLE zz_done) AS items
        WHERE NOT EXISTS (SELECT FROM entry AS e WHERE e.writer = items.writer AND e.n = items.n)""",
    "an entry that saw what is not there": """
        SELECT e.id FROM entry AS e, unnest(saw) WITH ORDINALITY AS s (last, other)
        WHERE last > coalesce((SELECT max(n) FROM entry AS o WHERE o.writer = s.other - 1), 0)""",
}


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Make the tables in an empty database."""
    connection.execute(_TABLES)
    connection.execute("INSERT INTO account SELECT generate_series(0, %s)", (WRITERS * ACCOUNTS - 1,))


def broken_rules(connection: psycopg.Connection[Any]) -> list[str]:
    """What a copy of one moment could not show; empty where all is well."""
    return [name for name, query in _RULES.items() if connection.execute(query.encode()).fetchone() is not None]


def progress(connection: psycopg.Connection[Any]) -> list[int]:
    """The number of each writer's last transaction in this database."""
    rows = connection.execute("SELECT writer, max(n) FROM entry GROUP BY writer").fetchall()
    last = dict(rows)
    return [last.get(writer, 0) for writer in range(WRITERS)]


class Writers:
    """Writers at work, from entering to leaving. ``begun`` and ``committed`` are the last numbers of each."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(writer,)) for writer in range(WRITERS)]
        self.begun = [0] * WRITERS
        self.committed = [0] * WRITERS
        self.failures: list[Exception] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, transactions: int) -> None:
        """Until each writer has committed that many."""
        while not self.failures and min(self.committed) < transactions:
            self._stop.wait(0.01)

    def _write(self, writer: int) -> None:
        values = {"writers": WRITERS, "writer": writer, "queued": QUEUED}
        try:
            with psycopg.connect(self._url, autocommit=True) as connection:
                while not self._stop.is_set():
                    n = self.begun[writer] = self.begun[writer] + 1
                    # Accounts of its own, so that writers neither wait for each other nor deadlock.
                    debit, credit = (writer * ACCOUNTS + pick % ACCOUNTS for pick in (n, n + 1 + n % 7))
                    amounts = {"n": n, "debit": debit, "credit": credit, "amount": n % 97 + 1}
                    connection.execute(_TRANSACTION, values | amounts)
                    self.committed[writer] = n
                    self._stop.wait(0.002)
        except psycopg.Error as error:
            self.failures.append(error)
