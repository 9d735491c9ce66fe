# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A killed ansible-playbook takes its modules, and what they started, with it.

With ansible-core's both supported ends, with and without pipelining: what the tree of processes looks like is theirs to
change. The module is one of the tests' own, on the collection's runner: it has a child and does something ten times a
second.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from harness.children import Child, clean_environment, until
from harness.modules import read_outcome
from harness.paths import CHECKOUT
from harness.playbooks import PlaybookRunner

#: Seconds in which a module promises to be gone, and what a busy machine may add before it can look at itself.
PROMISE, PATIENCE = 2.0, 2.0

MODULE = """#!/usr/bin/python
from __future__ import annotations
import os, time
from ansible_collections.ops.runbooks.plugins.module_utils._core import process
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.runner import run
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec

class Ticking(Operation):
    noun = "ticking"
    spec = ArgumentSpec(options={"file": {"type": "path"}, "ticks": {"type": "int"}, "secret": {"no_log": True}})

    def observe(self):
        return None

    def plan(self, state):
        return Plan(changed=True, result={})

    def act(self, state, plan):
        controller = self.context.controller.process
        with process.start(["sleep", "600"], context=self.context, env={}, name="sleep") as child:
            with open(self.params["file"], "a") as out:
                print("pids", os.getpid(), child.pid, file=out, flush=True)
                for number in range(self.params["ticks"]):
                    self.context.effect("tick")
                    print(time.time(), file=out, flush=True)
                    time.sleep(0.1)
        return {"controller": controller.pid, "ansible": controller.is_ansible}

path = os.environ.get("TICKING_WAITS_FOR")
while path and not os.path.exists(path):
    time.sleep(0.05)
run(Ticking)
"""

toolchain = pytest.mark.parametrize("toolchain", [".venv", ".venv-floor"])


class Ticking:
    """A play of one task, and the file in which the module writes what it does."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "home"
        self.file = directory / "ticks"
        self.file.touch()
        library = directory / "library"
        library.mkdir(parents=True)
        (library / "ticking.py").write_text(MODULE, encoding="utf-8")
        self.env = {"ANSIBLE_LIBRARY": str(library), "TICKING_SECRET": "not-to-be-left-behind"}

    def start(self, toolchain: str, *, pipelining: bool, ticks: int = 600, job: bool = False, **env: str) -> Child:
        """The running playbook; as a ``job`` it starts the module by ``async`` and does not wait for it."""
        python = str(CHECKOUT / toolchain / "bin" / "python")
        secret = "{{ lookup('ansible.builtin.env', 'TICKING_SECRET') }}"
        task = f"""
- hosts: here
  gather_facts: false
  tasks:
    - ticking: {{file: {self.file}, ticks: {ticks}, secret: "{secret}"}}
      async: {600 if job else 0}
      poll: 0
      register: ticked
    - debug: {{var: ticked}}
"""
        play = self.file.with_name("play.yml")
        play.write_text(task, encoding="utf-8")
        here = {"ansible_connection": "local", "ansible_python_interpreter": python}
        settings = {**self.env, "ANSIBLE_PIPELINING": str(pipelining), **env}
        runner = PlaybookRunner(self.home, python)
        return runner.start(str(play), inventory={"all": {"hosts": {"here": here}}}, env=settings)

    def processes(self) -> list[psutil.Process]:
        """The module and its child, once they are there."""
        for line in self.lines():
            if line.startswith("pids"):
                return [psutil.Process(int(word)) for word in line.split()[1:] if psutil.pid_exists(int(word))]
        return []

    def lines(self) -> list[str]:
        return self.file.read_text(encoding="utf-8").splitlines()

    def payloads(self) -> list[Path]:
        """Copies of the module with its parameters that ansible has left on the disk."""
        return list(self.home.rglob("AnsiballZ_*"))


@pytest.fixture
def ticking(tmp_path: Path) -> Iterator[Ticking]:
    made = Ticking(tmp_path)
    yield made
    for process in made.processes():
        process.kill()


def still_running(processes: list[psutil.Process]) -> list[psutil.Process]:
    _gone, left = psutil.wait_procs(processes, timeout=PROMISE + PATIENCE)
    return [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(
    ("number", "group", "pipelining"),
    [
        (signal.SIGKILL, False, False),
        (signal.SIGKILL, True, True),
        (signal.SIGTERM, False, True),
        (signal.SIGINT, True, False),
        (signal.SIGHUP, True, True),
    ],
    ids=["kill", "kill-group-pipelining", "term-pipelining", "interrupt-group", "hangup-group-pipelining"],
)
@toolchain
def test_the_end_of_ansible_is_the_end_of_the_module(
    toolchain: str, pipelining: bool, number: signal.Signals, group: bool, ticking: Ticking
) -> None:
    """How it ended is the kernel's to tell, and how the module was started ansible's: each way with each."""
    playbook = ticking.start(toolchain, pipelining=pipelining)
    until(lambda: len(ticking.lines()) > 3)
    processes = ticking.processes()
    assert len(processes) == 2
    assert all(process.is_running() for process in processes)
    (playbook.kill_group if group else playbook.kill)(number)
    ended = time.time()
    assert not still_running(processes)
    playbook.wait(30)
    last = float(ticking.lines()[-1])
    assert last < ended + PROMISE, f"it went on for {last - ended:.1f} s"
    assert not ticking.payloads(), "its parameters, secrets among them, stay on the disk"


@toolchain
def test_a_module_whose_controller_ended_before_it_began(toolchain: str, ticking: Ticking, tmp_path: Path) -> None:
    go = tmp_path / "go"
    playbook = ticking.start(toolchain, pipelining=False, TICKING_WAITS_FOR=str(go))
    until(ticking.payloads)
    until(lambda: _python_of(playbook.pid))
    (module,) = _python_of(playbook.pid)
    playbook.kill()
    playbook.wait(30)
    go.touch()
    assert not still_running([module])
    assert not ticking.lines(), "it began"


@toolchain
def test_a_module_that_is_left_alone_comes_to_its_end(toolchain: str, ticking: Ticking) -> None:
    """And knows its controller: the playbook, not its worker."""
    playbook = ticking.start(toolchain, pipelining=False, ticks=20)
    finished = playbook.wait(60)
    assert finished.status == 0, finished.output
    assert f"controller: {playbook.pid}\n" in finished.stdout
    assert "ansible: true\n" in finished.stdout
    assert len(ticking.lines()) == 21


def test_under_async_the_job_goes_on(ticking: Ticking) -> None:
    """Its owner asked for just that: a job that outlives the task, and the playbook."""
    playbook = ticking.start(".venv", pipelining=False, ticks=30, job=True)
    assert playbook.wait(60).status == 0
    until(lambda: len(ticking.lines()) == 31)


def _python_of(pid: int) -> list[psutil.Process]:
    """The module's process below a playbook, once it is there."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        # Some of them, such as the shells that make directories, end while they are looked at.
        with suppress(psutil.NoSuchProcess):
            if any("AnsiballZ_ticking" in word for word in process.cmdline()) and process.name().startswith("python"):
                found.append(process)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="there is no setsid to call elsewhere")
def test_by_hand_from_a_shell(ticking: Ticking) -> None:
    """The shell's own session, no ansible anywhere: nothing is mistaken for a dead controller."""
    given = {"ANSIBLE_MODULE_ARGS": {"file": str(ticking.file), "ticks": 12, "_ansible_remote_tmp": str(ticking.home)}}
    script = f"setsid -w sh -c '{sys.executable} {ticking.env['ANSIBLE_LIBRARY']}/ticking.py; true'"
    shell = Child(["sh", "-c", script], env=clean_environment(ticking.home), cwd=CHECKOUT, stdin=json.dumps(given))
    outcome = read_outcome(shell.wait(60))
    assert outcome.changed
    assert outcome["ticking"]["ansible"] is False
