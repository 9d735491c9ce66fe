# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbook retention as a user runs it; what it prints, and how it ends."""

from __future__ import annotations

from typing import Any

from harness.histories import ENVIRONMENT, History
from harness.modules import ModuleRunner
from harness.playbooks import PlaybookRunner
from harness.servers import FileStoreAt

#: Rules of which each test says only what it is about.
ONE = {
    **{f"runbooks_retention_keep_{name}": 0 for name in ("daily", "weekly", "monthly")},
    "runbooks_retention_keep_within": "0",
    "runbooks_retention_keep_last": 1,
    "runbooks_retention_floor": 1,
}


def inventory(history: History, **variables: Any) -> dict[str, Any]:
    """One database, whose server nobody needs."""
    common = {"runbooks_environment": ENVIRONMENT, "runbooks_store": history.store.url}
    hosts = {"main": {"database_url": "postgresql://nobody@127.0.0.1:9/nowhere"}}
    return {"all": {"vars": {**common, **variables}, "children": {"databases": {"hosts": hosts}}}}


def test_the_runbook(run_playbook: PlaybookRunner, file_store: FileStoreAt, run_module: ModuleRunner) -> None:
    history = History(store=file_store, run=run_module)
    for days in range(3):
        history.add(f"b{days}", days)
    runbook = "ops.runbooks.retention"

    before = file_store.keys()
    tried = run_playbook(runbook, inventory=inventory(history, **ONE), check=True, diff=True).ok()
    assert "backup b2 (" in tried.output
    assert "cannot be brought back" in tried.output
    assert file_store.keys() == before
    done = run_playbook(runbook, inventory=inventory(history, **ONE)).ok()
    assert "removed 2 backups" in done.output
    assert "Newest good backup: b0" in done.output
    assert history.ids() == ["b0"]
    again = run_playbook(runbook, inventory=inventory(history, **ONE)).ok()
    assert again.recap["main"]["changed"] == 0

    file_store.remove(history.backups.by_id("b0").keys[0])
    red = run_playbook(runbook, inventory=inventory(history, **ONE)).red()
    assert "the newest good backup, b0, is damaged" in red.output
