# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo from its first line to its last, in a sandbox of its own."""

from __future__ import annotations

import shutil
import sys
import time

from sandbox import Sandbox, SandboxError
from sandbox.demo.database import Database
from sandbox.demo.releases import Releases
from sandbox.demo.rotation import Rotation
from sandbox.demo.stage import DemoFailed, Stage
from sandbox.service import CHECKOUT

DIRECTORY = CHECKOUT / ".sandbox-demo"
EVIDENCE = CHECKOUT / "build" / "demo"


def play(stage: Stage) -> None:
    """All acts; raises :class:`DemoFailed` at the first thing that is not as promised."""
    proven = Database(stage).run() | Releases(stage).run() | Rotation(stage).run()
    evidence = f"{EVIDENCE.relative_to(CHECKOUT)}/ (manifest, run records, output of each runbook)"
    stage.keep_records()
    stage.heading("Proven")
    stage.facts(proven | {"evidence": evidence})


def main() -> int:
    """Run the demo; 0 where everything was as promised."""
    shutil.rmtree(EVIDENCE, ignore_errors=True)
    EVIDENCE.mkdir(parents=True)
    sandbox = Sandbox(DIRECTORY)
    began = time.monotonic()
    try:
        # What a demo that was killed has left.
        sandbox.down()
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        sandbox = Sandbox(DIRECTORY, stand_ins=True)
        print("Starting PostgreSQL, an S3 server and stand-ins for Vercel and GitHub on this machine ...", flush=True)
        with sandbox:
            play(Stage(sandbox, EVIDENCE))
    except KeyboardInterrupt:
        return 130
    except (DemoFailed, SandboxError, RuntimeError) as error:
        print(f"\n{error}\n\nThe demo failed.", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(DIRECTORY, ignore_errors=True)
    print(f"\nDone in {time.monotonic() - began:.0f} s; the sandbox is stopped.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
