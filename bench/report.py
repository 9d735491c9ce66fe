# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Figures as ratios, beside what they are to be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.rounds import Measured

README = Path(__file__).parent / "README.md"

#: Seconds for a run that finds no secret due.
SECONDS = 10
#: Peak memory of the module and its children, in bytes.
MEMORY_TARGET = 200 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One promise and how it stands."""

    what: str
    value: str
    target: str
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What was measured; a part that was not asked for is empty. ``streams`` has the MiB of each stream as its key."""

    speed: Mapping[str, Measured] = field(default_factory=dict)
    unchanged: Mapping[str, Measured] = field(default_factory=dict)
    jobs: Mapping[str, Measured] = field(default_factory=dict)
    restore: Mapping[str, Measured] = field(default_factory=dict)
    checksum: Mapping[str, Measured] = field(default_factory=dict)
    release: Mapping[str, Measured] = field(default_factory=dict)
    secrets: Mapping[str, Measured] = field(default_factory=dict)
    streams: Mapping[int, Measured] = field(default_factory=dict)

    def contenders(self) -> dict[str, Measured]:
        """Everything that was timed, by a name that says in which part."""
        parts = {"unchanged": self.unchanged, "jobs": self.jobs, "restore": self.restore, "checksum": self.checksum}
        parts |= {"release": self.release, "secrets": self.secrets}
        named = {f"{name} ({part})": one for part, measured in parts.items() for name, one in measured.items()}
        return {**self.speed, **named}


def figures(results: Results) -> list[Figure]:
    """Every figure that the measurements allow."""
    return [
        *_speed(results.speed),
        *_unchanged(results.unchanged),
        *_jobs(results.jobs),
        *_restore(results.restore),
        *_checksum(results.checksum),
        *_release(results.release),
        *_secrets(results.secrets),
        *_memory(results),
    ]


def _speed(measured: Mapping[str, Measured]) -> Iterator[Figure]:
    if "runbooks" not in measured:
        return
    floor = measured["ping"].median
    ours = measured["runbooks"].median - floor
    yield _at_most("backup / `pg_dump -Fc --compress=zstd:3 >/dev/null`", ours / measured["pg_dump"].median, 1.35)
    if "age" in measured:
        yield _at_most("backup with `encryption: age` / backup", (measured["age"].median - floor) / ours, 1.25)
    if "pipe" in measured:
        yield _at_least("`pg_dump \\| gzip \\| aws s3 cp -` / backup", measured["pipe"].median / ours, 3.5)
    if "modules" in measured:
        theirs = measured["modules"].median - floor
        yield _at_least("`postgresql_db` + `s3_object` / backup", theirs / ours, 3.0)


def _unchanged(measured: Mapping[str, Measured]) -> Iterator[Figure]:
    if "unchanged" in measured:
        ratio = measured["unchanged"].median / measured["ping"].median
        yield _at_most("play with an unchanged backup / play with a ping", ratio, 2.0)


def _jobs(measured: Mapping[str, Measured]) -> Iterator[Figure]:
    if "two jobs" not in measured:
        return
    floor = measured["ping"].median
    took = {name: one.median - floor for name, one in measured.items()}
    yield _at_least("backup with `jobs: 1` / with `jobs: 2`", took["one job"] / took["two jobs"], 1.0)
    strong = took["one job, zstd:12"] / took["two jobs, zstd:12"]
    yield _at_least("the same with zstd at level 12, which leaves the second processor free", strong, 1.5)
    gain = took["one job, gzip:6"] / took["two jobs, gzip:6"]
    yield _at_least("the same with gzip at level 6", gain, 1.0)
    if "pg_dump -Fd gzip:6, two jobs" in measured:
        alone = measured["pg_dump -Fd gzip:6, one job"].median / measured["pg_dump -Fd gzip:6, two jobs"].median
        yield _at_least(f"that gain / the one of `pg_dump -Fd --jobs=2` at that level ({alone:.2f})", gain / alone, 0.9)


def _restore(measured: Mapping[str, Measured]) -> Iterator[Figure]:
    if "pg_restore" not in measured:
        return
    ours = measured["runbooks"].median - measured["ping"].median
    yield _at_most(
        "restore / `pg_restore -j2` of a local file, ANALYZE, counts", ours / measured["pg_restore"].median, 1.2
    )
    if "pipe" in measured:
        yield _at_least("`aws s3 cp - \\| gunzip \\| psql` / restore", measured["pipe"].median / ours, 1.4)


def _checksum(measured: Mapping[str, Measured]) -> Iterator[Figure]:
    if "verify" in measured:
        ours = measured["verify"].median - measured["ping"].median
        yield _at_least("download / verification of its checksums", measured["download"].median / ours, 0.8)


def _release(measured: Mapping[str, Measured]) -> Iterator[Figure]:
    if "no change" in measured:
        ratio = measured["no change"].median / measured["pings"].median
        yield _at_most("release with nothing to do / play with 12 pings", ratio, 1.0)


def _secrets(measured: Mapping[str, Measured]) -> Iterator[Figure]:
    if "nothing due" in measured:
        took = measured["nothing due"].median
        yield Figure(
            what="rotation of 50 secrets with 3 places each, none of them due",
            value=f"{took:.1f} s",
            target=f"<= {SECONDS} s",
            met=took <= SECONDS,
        )


def _memory(results: Results) -> Iterator[Figure]:
    peaks = {f"a stream of {mib} MiB": measured.peak for mib, measured in results.streams.items()}
    if "runbooks" in results.restore:
        peaks = {"the restore above": results.restore["runbooks"].peak} | peaks
    if "two jobs" in results.jobs:
        peaks = {"the backup with two jobs": results.jobs["two jobs"].peak} | peaks
    if "runbooks" in results.speed:
        peaks = {"the backup above": results.speed["runbooks"].peak} | peaks
    for what, peak in peaks.items():
        yield Figure(
            what=f"memory (PSS) of module and children during {what}",
            value=f"{peak / 2**20:.0f} MiB",
            target=f"<= {MEMORY_TARGET // 2**20} MiB",
            met=0 < peak <= MEMORY_TARGET,
        )


def _at_most(what: str, ratio: float, bound: float) -> Figure:
    return Figure(what=what, value=f"{ratio:.2f}", target=f"<= {bound:g}", met=ratio <= bound)


def _at_least(what: str, ratio: float, bound: float) -> Figure:
    return Figure(what=what, value=f"{ratio:.2f}", target=f">= {bound:g}", met=ratio >= bound)


def markdown(
    found: list[Figure], measured: Mapping[str, Measured], facts: Mapping[str, Any], command: str, day: str
) -> str:
    """The figures with everything that they depend on."""
    lines = [f"Made on {day} by `{command}`.", "", "| what | figure | target | |", "| --- | --- | --- | --- |"]
    lines += [f"| {one.what} | {one.value} | {one.target} | {'met' if one.met else '**missed**'} |" for one in found]
    lines += ["", "| contender | median, s | each round, s |", "| --- | --- | --- |"]
    for name, one in measured.items():
        lines.append(f"| {name} | {one.median:.2f} | {' '.join(f'{seconds:.2f}' for seconds in one.seconds)} |")
    lines += ["", "; ".join(f"{name}: {value}" for name, value in facts.items()) + "."]
    return "\n".join(lines) + "\n"


def write(group: str, text: str) -> None:
    """Put the figures of a group into the README, in the place of the last ones."""
    place = re.compile(rf"(?<=<!-- figures of {group} -->\n).*?(?=<!-- end of figures -->)", re.DOTALL)
    readme = README.read_text(encoding="utf-8")
    README.write_text(place.sub(lambda _old: text, readme), encoding="utf-8")
