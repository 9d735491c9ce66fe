# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stages of ``make test``, ``tests/run/<stage>``, in lanes beside each other: ansible and servers wait a lot.

Stages of one lane run one after the other: first those that keep one core busy, last those that keep two. What a stage
prints appears when it has ended, as a whole and below its name; the last lane's last stage comes last, so that the
output ends with what pytest says of the tests on real servers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from harness.paths import CHECKOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A stage that has ended."""

    name: str
    status: int
    output: str
    seconds: float
    # Of processors, by the stage and the children it waited for, but for what servers took that left its family.
    cpu_seconds: float

    def text(self) -> str:
        """What it printed, between its name and how it went."""
        verdict = "passed" if self.status == 0 else f"FAILED with status {self.status}"
        head = f"----- {self.name}: {verdict} in {self.seconds:.0f} s, {self.cpu_seconds:.0f} s of processors "
        return f"{head:-<110}\n{self.output.rstrip()}"


def run_stage(name: str) -> Ended:
    """Run ``tests/run/<name>`` to its end."""
    began = time.monotonic()
    process = subprocess.Popen(
        [CHECKOUT / "tests" / "run" / name],
        cwd=CHECKOUT,
        # As if it were called by hand: how this program was found is its own business.
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    with process.stdout as pipe:
        output = pipe.read().decode("utf-8", "replace")
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(
        name=name,
        status=process.returncode,
        output=output,
        seconds=time.monotonic() - began,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
    )


def run_lanes(lanes: Sequence[Sequence[str]]) -> list[Ended]:
    """Run every stage, whatever becomes of the others; each is printed as it ends, but the very last one at the end."""
    last = lanes[-1][-1]

    def run_lane(lane: Sequence[str]) -> list[Ended]:
        ended = []
        for name in lane:
            print(f"----- {name}: begins", flush=True)
            ended.append(run_stage(name))
            if name != last:
                print(ended[-1].text(), flush=True)
        return ended

    with ThreadPoolExecutor(len(lanes)) as pool:
        return [stage for lane in pool.map(run_lane, lanes) for stage in lane]


def main(arguments: Sequence[str]) -> int:
    """Lanes are given as ``stage,stage``. 0 where every stage passed; the failed ones are named."""
    ended = run_lanes([each.split(",") for each in arguments])
    failed = [each.name for each in ended if each.status != 0]
    if failed:
        print(f"FAILED: {', '.join(failed)}. What they said stands above, the last one's below.", flush=True)
    print(ended[-1].text(), flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
