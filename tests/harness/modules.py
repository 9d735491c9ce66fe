# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a module for real and read its result."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.children import Child, Finished, clean_environment
from harness.paths import CHECKOUT, COLLECTIONS, MODULES
from harness.warm import warm

#: ``file``: the module's file as a child, arguments on its standard input, as ansible's payload would do it; fast, and
#: where it is waited for at once, faster: see ``harness.warm``.
#: ``ansible``: ``ansible localhost -m ops.runbooks.<name>``, with the payload, the worker and the callback.
Through = Literal["file", "ansible"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a module said. ``outcome["backup"]`` reads the result."""

    result: dict[str, Any]
    finished: Finished

    def __getitem__(self, key: str) -> Any:
        return self.result[key]

    def get(self, key: str, default: Any = None) -> Any:
        """A key of the result."""
        return self.result.get(key, default)

    @property
    def changed(self) -> bool:
        """Whether the module says that it changed something."""
        return bool(self.result.get("changed"))

    @property
    def failed(self) -> bool:
        """Whether the module says that it failed."""
        return bool(self.result.get("failed"))

    @property
    def code(self) -> str | None:
        """The failure code, None where the module did not fail or AnsibleModule itself refused the arguments."""
        code = self.result.get("failure", {}).get("code")
        return None if code is None else str(code)

    @property
    def message(self) -> str:
        """The sentence a person reads where it failed."""
        return str(self.result.get("msg", ""))

    @property
    def everything(self) -> str:
        """Result, standard output and error in one text: where a secret would show."""
        return json.dumps(self.result) + self.finished.output

    def ok(self) -> Outcome:
        """Itself, where the module did not fail; an assertion error with all that it said otherwise."""
        assert not self.failed, f"the module failed: {json.dumps(self.result, indent=1)}\n{self.finished.stderr}"
        return self

    def refused(self, code: str) -> Outcome:
        """Itself, where the module failed with this code."""
        assert self.failed, f"the module did not fail: {json.dumps(self.result, indent=1)}"
        assert self.code == code, f"expected {code}: {json.dumps(self.result, indent=1)}\n{self.finished.stderr}"
        return self


class ModuleRunner:
    """``run_module("postgres_backup", {...}, check=True)``; ``start`` gives the running child instead."""

    def __init__(self, home: Path, python: str = sys.executable) -> None:
        self._home = home
        self._python = python

    def __call__(
        self,
        name: str,
        args: Mapping[str, Any],
        *,
        check: bool = False,
        diff: bool = False,
        env: Mapping[str, str] | None = None,
        through: Through = "file",
        verbosity: int = 0,
        timeout: float = 120,
    ) -> Outcome:
        if through == "file" and (finished := self._warm(name, args, check, diff, verbosity, env, timeout)):
            return read_outcome(finished)
        child = self.start(name, args, check=check, diff=diff, env=env, through=through, verbosity=verbosity)
        return read_outcome(child.wait(timeout))

    def dies(
        self,
        name: str,
        args: Mapping[str, Any],
        passes: Collection[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        timeout: float = 120,
    ) -> str:
        """What it was about to change outside when it was killed (SIGKILL): the first thing that is not in ``passes``.

        '' where there was no such thing, so that it has come to its end.
        """
        argv, stdin = self._file(name, args, check=False, diff=False, verbosity=0)
        environment, server = clean_environment(self._home, env), warm(str(COLLECTIONS))
        told: dict[str, Any] = {"environment": environment, "cwd": CHECKOUT, "timeout": timeout, "passes": list(passes)}
        with server.idle:
            status, stdout, stderr = server.run(argv[-1], stdin or "", **told)
        if status == -signal.SIGKILL:
            return stdout
        read_outcome(Finished(argv=tuple(argv), status=status, stdout=stdout, stderr=stderr)).ok()
        return ""

    def _warm(
        self,
        name: str,
        args: Mapping[str, Any],
        check: bool,
        diff: bool,
        verbosity: int,
        env: Mapping[str, str] | None,
        timeout: float,
    ) -> Finished | None:
        """The run in an interpreter that has the imports behind it; nothing where that would not be the same."""
        if self._python != sys.executable or any(key.startswith(("PYTHON", "LANG", "LC_")) for key in env or {}):
            return None
        argv, stdin = self._file(name, args, check, diff, verbosity)
        environment = clean_environment(self._home, env)
        server = warm(str(COLLECTIONS))
        if not server.idle.acquire(blocking=False):
            return None
        try:
            status, stdout, stderr = server.run(
                argv[-1], stdin or "", environment=environment, cwd=CHECKOUT, timeout=timeout
            )
        finally:
            server.idle.release()
        return Finished(argv=tuple(argv), status=status, stdout=stdout, stderr=stderr)

    def start(
        self,
        name: str,
        args: Mapping[str, Any],
        *,
        check: bool = False,
        diff: bool = False,
        env: Mapping[str, str] | None = None,
        through: Through = "file",
        verbosity: int = 0,
    ) -> Child:
        """The running child, to be killed or waited for; read what it said with :func:`read_outcome`."""
        if through == "file":
            argv, stdin = self._file(name, args, check, diff, verbosity)
        else:
            argv, stdin = self._ansible(name, args, check, diff, verbosity)
        return Child(argv, env=clean_environment(self._home, env), cwd=CHECKOUT, stdin=stdin)

    def _file(
        self, name: str, args: Mapping[str, Any], check: bool, diff: bool, verbosity: int
    ) -> tuple[list[str], str | None]:
        if not (MODULES / f"{name}.py").is_file():
            raise FileNotFoundError(f"there is no module {name}")
        module = f"ansible_collections.ops.runbooks.plugins.modules.{name}"
        given = self._given(name, args, check, diff, verbosity)
        return [self._python, "-m", module], json.dumps({"ANSIBLE_MODULE_ARGS": given})

    def _given(self, name: str, args: Mapping[str, Any], check: bool, diff: bool, verbosity: int) -> dict[str, Any]:
        """What ansible hands to a module beside its options."""
        return {
            **args,
            "_ansible_check_mode": check,
            "_ansible_diff": diff,
            "_ansible_verbosity": verbosity,
            "_ansible_module_name": f"ops.runbooks.{name}",
            "_ansible_remote_tmp": str(self._home),
            "_ansible_keep_remote_files": False,
        }

    def _ansible(
        self, name: str, args: Mapping[str, Any], check: bool, diff: bool, verbosity: int
    ) -> tuple[list[str], str | None]:
        argv = [self._python, "-m", "ansible", "adhoc", "localhost", "-m", f"ops.runbooks.{name}"]
        argv += ["-a", json.dumps(dict(args))]
        argv += ["--check"] * check + ["--diff"] * diff + ["-" + "v" * verbosity] * (verbosity > 0)
        return argv, None


def read_outcome(finished: Finished) -> Outcome:
    """The JSON object in what a module, or ansible's ``minimal`` callback around it, printed."""
    decoder = json.JSONDecoder()
    text = finished.stdout
    start = text.find("{")
    while start >= 0:
        try:
            result, _end = decoder.raw_decode(text, start)
        except ValueError:
            start = text.find("{", start + 1)
            continue
        if " | FAILED! " in text[:start]:
            # The ad hoc callback prints the status in words and leaves the key out.
            result["failed"] = True
        return Outcome(result=result, finished=finished)
    raise AssertionError(f"no result from {finished.argv} (status {finished.status}):\n{finished.output}")
