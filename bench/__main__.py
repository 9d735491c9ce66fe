# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m bench``: measure, print, and with ``--write`` put the figures into README.md. Status 1: one misses."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bench import peers, report, rounds
from bench.contenders import BenchError
from bench.environment import CHECKOUT, Bench, machine
from sandbox import Sandbox

PARTS = ("speed", "unchanged", "stream")


def main(arguments: list[str]) -> int:
    """Run what the command line asks for."""
    options = _parser().parse_args(arguments)
    parts = options.parts or PARTS
    if options.peers and "speed" in parts:
        peers.install()
    facts = machine()
    # A directory of its own: another sandbox on this machine is not disturbed, and does not disturb.
    sandbox = Sandbox(options.directory, postgres="18", durable=True)
    with sandbox, tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        bench = Bench(sandbox=sandbox, scratch=Path(scratch))
        try:
            text, met = _measure(bench, parts, options, facts, arguments)
        except BenchError as error:
            print(error, file=sys.stderr)
            return 2
    print(f"\n{text}", end="")
    if options.write:
        report.write(text)
    return 0 if met else 1


def _measure(
    bench: Bench, parts: tuple[str, ...], options: argparse.Namespace, facts: dict[str, object], arguments: list[str]
) -> tuple[str, bool]:
    speed, unchanged, streams = None, None, {}
    if "speed" in parts or "unchanged" in parts:
        _say(f"making a database of {options.size} MiB, unless it is there")
        database = bench.database("product", options.size)
        facts |= {"database": f"{bench.database_bytes(database) / 2**20:.0f} MiB"}
        facts |= peers.versions() if options.peers and "speed" in parts else {}
        if "speed" in parts:
            speed = rounds.speed(bench, database, options.rounds, _say, with_peers=options.peers)
        if "unchanged" in parts:
            unchanged = rounds.unchanged(bench, database, options.rounds, _say)
    if "stream" in parts:
        _say(f"making a stream of {options.stream} MiB")
        streams[options.stream] = rounds.stream(bench, options.stream, _say)
    found = report.figures(speed, unchanged, streams)
    measured = {**(speed or {}), **{f"{name} (unchanged)": one for name, one in (unchanged or {}).items()}}
    command = shlex.join(["python", "-m", "bench", *arguments])
    return report.markdown(found, measured, facts, command, _today()), all(one.met for one in found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="How fast and how small a backup is.")
    parser.add_argument("parts", nargs="*", choices=PARTS, help="what to measure; everything unless given")
    parser.add_argument("--size", type=int, default=1024, help="MiB of the product's database (%(default)s)")
    parser.add_argument("--stream", type=int, default=8192, help="MiB of the stream (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (%(default)s)")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="measure only what is ours")
    parser.add_argument("--directory", type=Path, default=CHECKOUT / ".sandbox-bench", help="where the servers live")
    parser.add_argument("--write", action="store_true", help="put the figures into bench/README.md")
    return parser


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
