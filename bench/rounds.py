# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is run in which order, and what the figures are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from bench.backups import Backups
from bench.checks import Checks
from bench.environment import Bench
from bench.programs import Programs, Run
from bench.releases import released
from bench.restores import Restores
from bench.secrets import young


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How often each contender runs, whether a round goes before that does not count, and who is told."""

    rounds: int
    warm_up: bool
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One contender: seconds of each round, and the highest peak of memory in bytes."""

    seconds: tuple[float, ...]
    peak: int

    @property
    def median(self) -> float:
        """Of the rounds, in seconds."""
        return median(self.seconds)


def interleaved(
    on: Programs, contenders: Mapping[str, Callable[[], Run]], course: Course, after_each: Callable[[], None]
) -> dict[str, Measured]:
    """Each contender once in each round, so that a disturbance of the machine meets all alike.

    One round more goes before: caches fill, modules are compiled. It does not count, but for memory, since looking for
    that takes a good part of a processor. The order turns from round to round.
    """
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    peaks = dict.fromkeys(contenders, 0)
    names = list(contenders)
    first = 0 if course.warm_up else 1
    for number in range(first, course.rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            on.measures_memory = number == first
            run = contenders[name]()
            peaks[name] = max(peaks[name], run.peak)
            after_each()
            note = " (to warm up)" if number == 0 else ""
            course.say(f"round {number}/{course.rounds} {name}: {run.seconds:.2f} s{note}")
            if number > 0:
                runs[name].append(run)
    return {name: Measured(seconds=tuple(run.seconds for run in done), peak=peaks[name]) for name, done in runs.items()}


def speed(bench: Bench, database: str, course: Course, *, with_peers: bool) -> dict[str, Measured]:
    """Backups of a product's database by every contender, and the floors beside them."""
    on = Backups(bench, database)
    contenders = {"ping": on.ping, "pg_dump": on.pg_dump, "runbooks": on.runbooks, "age": on.encrypted}
    if with_peers:
        contenders |= {"pipe": on.pipe, "modules": on.modules}
    return interleaved(on, contenders, course, bench.empty_store)


def unchanged(bench: Bench, database: str, course: Course) -> dict[str, Measured]:
    """A play whose backup exists already, beside one that only pings."""
    on = Backups(bench, database)
    on.runbooks()
    try:
        return interleaved(on, {"ping": on.ping, "unchanged": on.unchanged}, course, lambda: None)
    finally:
        bench.empty_store()


def jobs(bench: Bench, database: str, course: Course, *, with_peers: bool) -> dict[str, Measured]:
    """Backups of tables of equal size by one pg_dump and by two."""
    on = Backups(bench, database)
    contenders = {"ping": on.ping, "one job": on.one_job, "two jobs": on.two_jobs}
    contenders |= {"one job, gzip:6": on.gzip_one_job, "two jobs, gzip:6": on.gzip_two_jobs}
    contenders |= {"one job, zstd:12": on.strong_one_job, "two jobs, zstd:12": on.strong_two_jobs}
    if with_peers:
        contenders |= {
            "pg_dump -Fd gzip:6, one job": on.directory_one_job,
            "pg_dump -Fd gzip:6, two jobs": on.directory_two_jobs,
        }
    return interleaved(on, contenders, course, bench.empty_store)


def restores(bench: Bench, database: str, course: Course, *, with_peers: bool) -> dict[str, Measured]:
    """Restores of a product's database by every contender."""
    on = Restores(bench, database)
    on.prepare(with_peers=with_peers)
    contenders = {"ping": on.ping, "pg_restore": on.pg_restore, "runbooks": on.runbooks}
    if with_peers:
        contenders |= {"pipe": on.pipe}
    try:
        return interleaved(on, contenders, course, on.drop)
    finally:
        on.drop()
        bench.empty_store()


def checks(bench: Bench, database: str, course: Course) -> dict[str, Measured]:
    """The checksums of a backup beside a download of it."""
    on = Checks(bench, database)
    on.prepare()
    try:
        contenders = {"ping": on.ping, "download": on.download, "verify": on.verify}
        return interleaved(on, contenders, course, lambda: None)
    finally:
        bench.empty_store()


def releases(bench: Bench, course: Course) -> dict[str, Measured]:
    """A release with nothing to do beside a play of as many pings as it may cost."""
    with released(bench) as on:
        return interleaved(on, {"pings": on.pings, "no change": on.no_change}, course, lambda: None)


def secrets(bench: Bench, course: Course) -> dict[str, Measured]:
    """A rotation of many secrets of which none is due."""
    with young(bench) as on:
        return interleaved(on, {"nothing due": on.nothing_due}, course, lambda: None)


def stream(bench: Bench, mib: int, say: Callable[[str], None]) -> Measured:
    """One backup of a dump of ``mib`` MiB, sent uncompressed, for its memory. The database is dropped afterwards."""
    database = bench.database("stream", mib)
    try:
        on = Backups(bench, database)
        on.measures_memory = True
        run = on.uncompressed()
    finally:
        bench.empty_store()
        bench.drop(database)
    say(f"stream of {mib} MiB: {run.seconds:.2f} s, peak {run.peak / 2**20:.0f} MiB")
    return Measured(seconds=(run.seconds,), peak=run.peak)
