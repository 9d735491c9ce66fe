# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run playbooks for real."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness import shared
from harness.children import Child, Finished, clean_environment
from harness.paths import CHECKOUT

_RECAP = re.compile(r"^(?P<host>\S+)\s*:\s*(?P<counts>ok=\d+ .*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A playbook run that has ended."""

    finished: Finished

    @property
    def status(self) -> int:
        """ansible-playbook's exit status."""
        return self.finished.status

    @property
    def output(self) -> str:
        """Everything that a person would have seen."""
        return self.finished.output

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        """Host name to ``ok``, ``changed``, ``unreachable``, ``failed``, ``skipped``, ``rescued``, ``ignored``."""
        return {
            match["host"]: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", match["counts"])}
            for match in _RECAP.finditer(self.finished.stdout)
        }

    def ok(self) -> Played:
        """Itself, where the run was green."""
        assert self.status == 0, self.output
        return self

    def red(self) -> Played:
        """Itself, where the run was red but ran: a usage error of ansible's own (status 1, 4 or 5) is neither."""
        assert self.status == 2, f"status {self.status}\n{self.output}"
        return self


class PlaybookRunner:
    """``run_playbook("ops.runbooks.backup", inventory=..., extra_vars=...)``; ``start`` gives the running child."""

    def __init__(self, home: Path, python: str = sys.executable) -> None:
        self._home = home
        self._python = python

    def __call__(self, playbook: str, *, timeout: float = 300, **options: Any) -> Played:
        return Played(finished=self._start(playbook, warm=True, **options).wait(timeout))

    def start(self, playbook: str, **options: Any) -> Child:
        """The running child, to be killed or waited for; options as above, but for ``timeout``."""
        return self._start(playbook, warm=False, **options)

    def _start(
        self,
        playbook: str,
        *,
        warm: bool,
        inventory: Path | str | Mapping[str, Any],
        extra_vars: Mapping[str, Any] | None = None,
        check: bool = False,
        diff: bool = False,
        limit: str | None = None,
        verbosity: int = 0,
        env: Mapping[str, str] | None = None,
        cwd: Path = CHECKOUT,
        arguments: tuple[str, ...] = (),
    ) -> Child:
        """The running child, whose modules find their imports done where it is ``warm``.

        An inventory given as a mapping is written as YAML; ``arguments`` go to the end.
        """
        env = dict(env or {})
        argv = [self._python, "-m", "ansible", "playbook"]
        if shared.may_share(self._python, env):
            argv, given = [self._python, str(shared.PLAYBOOK)], env
            env = shared.variables() | (shared.playbooks() if warm else {})
            # Who says how ansible is to be set has it imported for this run alone.
            env |= shared.ansible() if warm and not any(name.startswith("ANSIBLE_") for name in given) else {}
            env |= given
        argv += [playbook, "-i", str(self._inventory(inventory))]
        argv += ["-e", json.dumps(dict(extra_vars))] if extra_vars else []
        argv += ["--limit", limit] if limit is not None else []
        argv += ["--check"] * check + ["--diff"] * diff + ["-" + "v" * verbosity] * (verbosity > 0)
        return Child([*argv, *arguments], env=clean_environment(self._home, env), cwd=cwd)

    def _inventory(self, inventory: Path | str | Mapping[str, Any]) -> Path | str:
        if not isinstance(inventory, Mapping):
            return inventory
        self._home.mkdir(parents=True, exist_ok=True)
        path = self._home / "inventory.yml"
        path.write_text(yaml.safe_dump(dict(inventory)), encoding="utf-8")
        return path
