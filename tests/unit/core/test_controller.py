# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which process a module works for, and that it ends when that one has ended. With ansible: ``tests/system``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import Clock
from ansible_collections.ops.runbooks.plugins.module_utils._core.controller import (
    Controller,
    Process,
    ProcTable,
    PsTable,
    find_controller,
)

from harness.paths import COLLECTIONS
from harness.stores import failing

LINUX = sys.platform.startswith("linux")
PLAYBOOK = "/venv/bin/python /venv/bin/ansible-playbook site.yml"


class Table:
    """A process table that is written down: ``{pid: (parent, command line)}``."""

    def __init__(self, lines: Mapping[int, tuple[int, str]]) -> None:
        self._lines = lines

    def look(self, pid: int) -> Process | None:
        if pid not in self._lines:
            return None
        parent, command = self._lines[pid]
        return Process(pid=pid, parent=parent, started=f"t{pid}", argv=tuple(command.split()))


def found(table: Mapping[int, tuple[int, str]], *, session: int, pid: int = 9) -> int | None:
    process = find_controller(Table(table), pid=pid, session=session)
    return None if process is None else process.pid


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("/usr/bin/ansible-playbook site.yml", "ansible-playbook"),
        ("/venv/bin/python /venv/bin/ansible-playbook site.yml", "ansible-playbook"),
        ("/venv/bin/python3.13 -I -X utf8 -W ignore /venv/bin/ansible all -m ping", "ansible"),
        ("/venv/bin/python -m ansible playbook site.yml", "ansible"),
        ("python AnsiballZ_postgres_backup.py", "AnsiballZ_postgres_backup.py"),
        ("-bash", "-bash"),
        ("python", "python"),
        ("", ""),
    ],
)
def test_program(command: str, program: str) -> None:
    assert Process(pid=1, parent=0, started="", argv=tuple(command.split())).program == program


def test_local_connection() -> None:
    table = {2: (1, "bash"), 3: (2, PLAYBOOK), 4: (3, PLAYBOOK), 5: (4, "sh -c x"), 9: (5, "python AnsiballZ_x.py")}
    assert found(table, session=4) == 3


def test_become_opens_another_session() -> None:
    table = {3: (1, PLAYBOOK), 4: (3, PLAYBOOK), 5: (4, "sudo sh"), 6: (5, "sudo sh"), 7: (6, "sh"), 9: (7, "python")}
    assert found(table, session=6) == 3


def test_worker_with_a_title_of_its_own() -> None:
    table = {3: (1, PLAYBOOK), 4: (3, "ansible-playbook: worker"), 9: (4, "python")}
    assert found(table, session=4) == 3


def test_awx_runs_the_playbook_as_the_first_process() -> None:
    table = {1: (0, "ansible-playbook -u root site.yml"), 4: (1, "ansible-playbook -u root site.yml"), 9: (4, "python")}
    assert found(table, session=4) == 1


def test_a_worker_whose_playbook_has_ended() -> None:
    table = {1: (0, "init"), 4: (1, PLAYBOOK), 9: (4, "python")}
    with failing("controller_gone"):
        found(table, session=4)


def test_a_worker_that_a_subreaper_has_adopted() -> None:
    table = {1: (0, "init"), 2: (1, "systemd --user"), 4: (2, PLAYBOOK), 9: (4, "python")}
    with failing("controller_gone"):
        found(table, session=4)


def test_ssh() -> None:
    table = {1: (0, "init"), 2: (1, "sshd: deploy@notty"), 4: (2, "sh -c x"), 9: (4, "python AnsiballZ_x.py")}
    assert found(table, session=4) == 2


def test_another_program_that_uses_ansible() -> None:
    table = {2: (1, "bash"), 3: (2, "python tool.py"), 4: (3, "python tool.py"), 9: (4, "python AnsiballZ_x.py")}
    assert found(table, session=4) == 3


def test_async_belongs_to_its_own_topmost_process() -> None:
    table = {1: (0, "init"), 5: (1, "python async_wrapper.py"), 6: (5, "python async_wrapper.py"), 9: (6, "python")}
    assert found(table, session=4) == 5


def test_by_hand_in_a_terminal() -> None:
    table = {2: (1, "tmux"), 4: (2, "-bash"), 9: (4, "python -m postgres_backup")}
    assert found(table, session=4) == 2


def test_by_hand_in_a_container() -> None:
    """The parent of what was executed in a container is outside, where it cannot be seen."""
    assert found({4: (0, "sh"), 9: (4, "python")}, session=4) == 4
    assert found({9: (0, "python")}, session=9) is None


def test_hidden_processes_are_not_gone_ones() -> None:
    """With hidepid others' processes are invisible: then there is nothing to watch."""
    assert found({9: (4, "python")}, session=4) is None
    assert found({4: (3, "sh"), 9: (4, "python")}, session=4) == 4


@pytest.mark.skipif(not LINUX, reason="other systems have no /proc to compare with")
def test_both_tables_say_the_same_of_this_process() -> None:
    by_proc, by_ps = ProcTable().look(os.getpid()), PsTable().look(os.getpid())
    assert by_proc is not None
    assert by_ps is not None
    assert by_ps.parent == by_proc.parent == os.getppid()
    assert " ".join(by_ps.argv).split() == " ".join(by_proc.argv).split()
    assert by_ps.is_ansible == by_proc.is_ansible


@pytest.mark.parametrize("table", [ProcTable(), PsTable()], ids=["proc", "ps"])
def test_a_zombie_is_gone(table: ProcTable | PsTable) -> None:
    child = subprocess.Popen(["sleep", "600"])
    assert table.look(child.pid) is not None
    child.kill()
    deadline = time.monotonic() + 5
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.02)
    assert table.look(child.pid) is None
    child.wait()
    assert table.look(child.pid) is None


def controller(pid: int | None = None) -> Controller:
    table = ProcTable() if LINUX else PsTable()
    return Controller(table.look(pid) if pid else None, clock=Clock(), table=table)


@contextmanager
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(["sleep", "600"])
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def test_gone_is_what_has_provably_ended() -> None:
    mine = controller(os.getpid())
    with sleeper() as child:
        theirs = dict(controller(child.pid).identity)
        assert not mine.gone(theirs)
        assert mine.gone({**theirs, "started": "1"}), "the number was given to another process"
    assert mine.gone(theirs)
    for key in ("machine_id", "boot_id", "pid_namespace"):
        assert not mine.gone({**theirs, key: "another"}), f"nothing is known of another {key}"
    for key in theirs:
        assert not mine.gone({other: value for other, value in theirs.items() if other != key})
    assert not mine.gone({})


def test_a_process_that_cannot_be_seen_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With hidepid the table does not show another user's process, and a signal to it is refused."""

    def refuse(_pid: int, _number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    blind = Controller(None, clock=Clock(), table=Table({}))
    assert not blind.gone({**blind.identity, "pid": 4711, "started": "1"})


def test_check_raises_as_soon_as_it_has_ended() -> None:
    with sleeper() as child:
        watched = controller(child.pid)
        watched.check("go on")
    with failing("controller_gone") as failure:
        watched.check("upload part 7")
    assert failure().attempted == "upload part 7"


def test_without_a_controller_there_is_nothing_to_watch() -> None:
    with controller(None) as watched:
        watched.check("go on")


MODULE = """
    import os, sys, time
    from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import Clock
    from ansible_collections.ops.runbooks.plugins.module_utils._core.controller import Controller
    import subprocess
    controller = Controller.find(Clock())
    controller.sweep_at_end(sys.argv[1])
    with controller:
        child = subprocess.Popen(["sleep", "600"], process_group=0)
        controller.register(child.pid)
        os.write(2, f"{os.getpid()} {child.pid} {controller.process.pid}\\n".encode())
        time.sleep(600)
"""
#: Starts the module as ansible does, in a session of its worker's; the worker is this script once more.
WORKER = """
    import subprocess, sys
    subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]], stdout=subprocess.PIPE).communicate()
"""
RUNBOOK = """
    import subprocess, sys
    subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], start_new_session=True).wait()
"""


@pytest.mark.parametrize("victim", ["controller", "worker"])
def test_the_end_of_it_is_the_end_of_the_module(victim: str, tmp_path: Path) -> None:
    """Its child is no child of ``process.start``: the watcher alone has to end it."""
    leftovers = tmp_path / "ansible-tmp"
    leftovers.mkdir()
    (leftovers / "parameters").write_text("secret")
    scripts = [textwrap.dedent(script) for script in (RUNBOOK, WORKER, MODULE)]
    runbook = subprocess.Popen(
        [sys.executable, "-c", *scripts, str(leftovers)],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
    )
    assert runbook.stderr is not None
    module, child, controlled_by = (int(word) for word in runbook.stderr.readline().split())
    try:
        assert controlled_by == runbook.pid
        processes = [psutil.Process(module), psutil.Process(child)]
        worker = psutil.Process(module).ppid()
        os.kill(runbook.pid if victim == "controller" else worker, signal.SIGKILL)
        _gone, left = psutil.wait_procs(processes, timeout=2)
        assert not [each for each in left if each.status() != psutil.STATUS_ZOMBIE]
        assert not leftovers.exists()
    finally:
        runbook.kill()
        runbook.communicate()
        for process in (module, child):
            if psutil.pid_exists(process):
                os.kill(process, signal.SIGKILL)
