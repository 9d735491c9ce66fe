# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m bench``: measure, print, and with ``--write`` put the figures into README.md. Status 1: one misses."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import peers, report, rounds
from bench.environment import CHECKOUT, Bench, machine
from bench.programs import BenchError
from bench.rounds import Course, Measured
from sandbox import Sandbox

#: What is measured, in the groups whose figures stand together in README.md.
GROUPS = {
    "backups": ("speed", "unchanged", "stream"),
    "jobs": ("jobs",),
    "restores": ("restore", "checksum"),
    "releases": ("release",),
    "secrets": ("secrets",),
}
PARTS = tuple(part for group in GROUPS.values() for part in group)
#: Those with contenders that are installed for it.
PEERED = {"speed", "restore"}


def main(arguments: list[str]) -> int:
    """Run what the command line asks for."""
    options = _parser().parse_args(arguments)
    parts = options.parts or PARTS
    if options.peers and PEERED & set(parts):
        peers.install()
    # A directory of its own: another sandbox on this machine is not disturbed, and does not disturb.
    sandbox = Sandbox(options.directory, postgres="18", durable=True)
    with sandbox, tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        bench = Bench(sandbox=sandbox, scratch=Path(scratch))
        try:
            met = [_group(bench, name, parts, options, arguments) for name in GROUPS if set(GROUPS[name]) & set(parts)]
        except BenchError as error:
            print(error, file=sys.stderr)
            return 2
    return 0 if all(met) else 1


def _group(bench: Bench, name: str, parts: Collection[str], options: argparse.Namespace, arguments: list[str]) -> bool:
    """Measure what is wanted of one group and print it; whether every target is met."""
    wanted = [part for part in GROUPS[name] if part in parts]
    facts = machine()
    measured = _measure(bench, wanted, options, facts)
    found = report.figures(measured)
    command = shlex.join(["python", "-m", "bench", *arguments])
    text = report.markdown(found, measured.contenders(), facts, command, _today())
    print(f"\n{text}", end="", flush=True)
    if options.write:
        report.write(name, text)
    return all(one.met for one in found)


def _measure(
    bench: Bench, parts: Collection[str], options: argparse.Namespace, facts: dict[str, object]
) -> report.Results:
    """Parts of one group. ``facts`` is told what they depend on."""
    results: dict[str, Any] = {}
    if product := {"speed", "unchanged", "restore", "checksum"} & set(parts):
        _say(f"making a database of {options.size} MiB, unless it is there")
        database = bench.database("product", options.size)
        facts |= {"database": f"{bench.database_bytes(database) / 2**20:.0f} MiB"}
        facts |= peers.versions() if options.peers and product & PEERED else {}
        results |= _on_product(bench, database, product, options)
    if "release" in parts:
        results["release"] = rounds.releases(bench, _course(options))
    if "secrets" in parts:
        results["secrets"] = rounds.secrets(bench, _course(options))
    if "jobs" in parts:
        _say(f"making tables of equal size, {options.size} MiB together, unless they are there")
        equal = bench.database("equal", options.size)
        results["jobs"] = rounds.jobs(bench, equal, _course(options), with_peers=options.peers)
    if "stream" in parts:
        _say(f"making a stream of {options.stream} MiB")
        results["streams"] = {options.stream: rounds.stream(bench, options.stream, _say)}
    return report.Results(**results)


def _on_product(
    bench: Bench, database: str, parts: Collection[str], options: argparse.Namespace
) -> dict[str, dict[str, Measured]]:
    """What is measured on the product's database, by part."""
    with_peers, course = options.peers, _course(options)
    measure: dict[str, Callable[[], dict[str, Measured]]] = {
        "speed": lambda: rounds.speed(bench, database, course, with_peers=with_peers),
        "unchanged": lambda: rounds.unchanged(bench, database, course),
        "restore": lambda: rounds.restores(bench, database, course, with_peers=with_peers),
        "checksum": lambda: rounds.checks(bench, database, course),
    }
    return {part: run() for part, run in measure.items() if part in parts}


def _course(options: argparse.Namespace) -> Course:
    return Course(rounds=options.rounds, warm_up=options.warm_up, say=_say)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="How fast and how small backups and restores are, and what releases and rotations cost "
        "that have nothing to do.",
    )
    parser.add_argument("parts", nargs="*", choices=PARTS, help="what to measure; everything unless given")
    parser.add_argument("--size", type=int, default=1024, help="MiB of the product's database (%(default)s)")
    parser.add_argument("--stream", type=int, default=8192, help="MiB of the stream (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (%(default)s)")
    parser.add_argument(
        "--cold", dest="warm_up", action="store_false", help="no round to warm up before those that count"
    )
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="measure only what is ours")
    parser.add_argument("--directory", type=Path, default=CHECKOUT / ".sandbox-bench", help="where the servers live")
    parser.add_argument(
        "--write", action="store_true", help="put the figures of each measured group into bench/README.md"
    )
    return parser


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
