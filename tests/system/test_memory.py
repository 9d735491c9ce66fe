# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory does not grow with the database: what streams through is held in parts, and the parts are bounded.

``bench/`` measures the same with 8 GiB.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import data
from bench.memory import PeakMemory
from harness.age import key_pair
from harness.modules import ModuleRunner, Outcome, read_outcome
from harness.servers import Database, FileStoreAt, StoreAt

MIB = 1024 * 1024

#: What a module and its children may take, without PostgreSQL's programs.
CEILING = 200 * MIB

#: What a stream may take on top: the parts in flight (64 MiB), and what the allocator leaves lying about.
STREAMING = (64 + 24) * MIB

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="PSS is read from /proc")


def test_backup_and_restore_hold_no_more_than_a_few_parts(
    run_module: ModuleRunner, make_database: Callable[[], Database], store: StoreAt, tmp_path: Path
) -> None:
    """What goes into the directory is encrypted on its way, which takes no more."""
    key = key_pair(tmp_path / "identity")
    sealed = isinstance(store, FileStoreAt)
    sealing = {"encryption": "age", "age_recipients": [key.recipient]} if sealed else {}
    peaks: dict[str, list[int]] = {"postgres_backup": [], "postgres_restore": []}
    for mib in (1, 300):
        database = make_database()
        data.make_stream(database.url, mib)
        common = {"environment": "test", "name": f"stream{mib}", **database.args, **store.args}
        backup = {**common, "backup_id": "one", "compression": "none", **sealing}
        outcome, peak = _measured(run_module, "postgres_backup", backup)
        assert outcome["backup"]["bytes"] > mib * MIB
        peaks["postgres_backup"].append(peak)
        restore = {**common, "backup": "one", "target_database": f"{database.name}_restored"}
        restore |= {"age_identity_file": str(key.path)} if sealed else {}
        _outcome, peak = _measured(run_module, "postgres_restore", restore)
        peaks["postgres_restore"].append(peak)
    for module, (small, large) in peaks.items():
        assert 0 < large <= CEILING, f"{module} took {large / MIB:.0f} MiB"
        assert large - small <= STREAMING, f"{module} took {(large - small) / MIB:.0f} MiB more"


def _measured(run_module: ModuleRunner, module: str, args: dict[str, Any]) -> tuple[Outcome, int]:
    child = run_module.start(module, args)
    with PeakMemory(child.pid, module, interval=0.05) as memory:
        outcome = read_outcome(child.wait(300)).ok()
    return outcome, memory.peak
