# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is run in which order, and what the figures are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from bench.contenders import Contenders, Run
from bench.environment import Bench

Say = Callable[[str], None]


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
    on: Contenders, contenders: Mapping[str, Callable[[], Run]], rounds: int, after_each: Callable[[], None], say: Say
) -> dict[str, Measured]:
    """Each contender once in each round, so that a disturbance of the machine meets all alike.

    One round more goes before: caches fill, modules are compiled. It does not count, but for memory, since looking for
    that takes a good part of a processor. The order turns from round to round.
    """
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    peaks = dict.fromkeys(contenders, 0)
    names = list(contenders)
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            on.measures_memory = number == 0
            run = contenders[name]()
            peaks[name] = max(peaks[name], run.peak)
            after_each()
            say(f"round {number}/{rounds} {name}: {run.seconds:.2f} s" + (" (to warm up)" if number == 0 else ""))
            if number > 0:
                runs[name].append(run)
    return {name: Measured(seconds=tuple(run.seconds for run in done), peak=peaks[name]) for name, done in runs.items()}


def speed(bench: Bench, database: str, rounds: int, say: Say, *, with_peers: bool) -> dict[str, Measured]:
    """Backups of a product's database by every contender, and the floors beside them."""
    on = Contenders(bench, database)
    contenders = {"ping": on.ping, "pg_dump": on.pg_dump, "runbooks": on.runbooks}
    if with_peers:
        contenders |= {"pipe": on.pipe, "modules": on.modules}
    return interleaved(on, contenders, rounds, bench.empty_store, say)


def unchanged(bench: Bench, database: str, rounds: int, say: Say) -> dict[str, Measured]:
    """A play whose backup exists already, beside one that only pings."""
    on = Contenders(bench, database)
    on.runbooks()
    try:
        return interleaved(on, {"ping": on.ping, "unchanged": on.unchanged}, rounds, lambda: None, say)
    finally:
        bench.empty_store()


def stream(bench: Bench, mib: int, say: Say) -> Measured:
    """One backup of a dump of ``mib`` MiB, sent uncompressed, for its memory. The database is dropped afterwards."""
    database = bench.database("stream", mib)
    try:
        run = Contenders(bench, database).uncompressed()
    finally:
        bench.empty_store()
        bench.drop(database)
    say(f"stream of {mib} MiB: {run.seconds:.2f} s, peak {run.peak / 2**20:.0f} MiB")
    return Measured(seconds=(run.seconds,), peak=run.peak)
