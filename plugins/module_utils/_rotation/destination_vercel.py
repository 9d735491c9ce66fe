# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An environment variable on Vercel as the place of a secret (private to ops.runbooks).

What is written is known again by the records and the times of their last change. A change reaches only what is built
afterwards, and a rollback brings back what was built before: so a value is in force where what serves production is
younger than the record.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Target
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import Sight
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.client import Vercel
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.env import VercelEnv
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import Project, Variable, as_iso
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.settings import read_settings

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Seconds that Vercel may take for one question or change.
_PATIENCE = 60
#: Deployments of a project that are looked through for earlier values.
_LISTED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What one list says of a project, for all destinations that are of it."""

    project: Project
    records: tuple[Variable, ...]
    hidden: int
    now: int


class VercelDestination:
    """See ``destination.Destination``. ``looks`` is shared by those that are opened together."""

    def __init__(self, target: Target, keys: Keys, context: Context, looks: dict[tuple[str, ...], Any]) -> None:
        options = target.options
        self._looks = looks
        self._keys = keys
        self._context = context
        self._params = {name: options.get(name) for name in ("token", "team", "project")}
        self._params["api_url"] = options.get("api_url") or "https://api.vercel.com"
        self._wanted = {
            "name": options["variable"],
            "value": "x",
            "type": options["kind"],
            "targets": options["targets"],
            "git_branch": options.get("git_branch"),
            "comment": None,
            "state": "present",
        }

    def observe(self) -> Sight:
        """By one list of the project's variables. Raises ``variables_hidden`` where this token does not see it."""
        place = tuple(str(each) for each in self._params.values())
        if place not in self._looks:
            self._looks[place] = self._look()
        return self._sight(self._looks[place])

    def read(self) -> str | None:
        """See ``destination.Destination``. What is sensitive nobody can read, and it should be."""
        return None

    def write(self, text: str) -> Sight:
        """See ``destination.Destination``. By the module vercel_env, which looks again at what came of it."""
        return self._written(text, doubting=False)

    def write_again(self, text: str) -> Sight:
        """See ``destination.Marked``."""
        return self._written(text, doubting=True)

    def _written(self, text: str, *, doubting: bool) -> Sight:
        """Raises ``secrets_differ`` where somebody else was as fast."""
        listed = {**self._wanted, "value": text, "state": "present" if text else "absent"}
        params: dict[str, Any] = {
            **self._params,
            "variables": [listed],
            "exclusive": False,
            "on_unknown": "update",
            "required": [],
            "fingerprint_key": self._keys.marks(),
            "timeout": f"{_PATIENCE}s",
            "store": None,
            "name": None,
        }
        operation = VercelEnv(params, self._context, doubting=doubting)
        try:
            state = operation.observe()
            plan = operation.plan(state)
            if plan.changed:
                operation.act(state, plan)
        finally:
            operation.close()
        self._looks.clear()
        sight = self.observe()
        listed = dict(each.rpartition("@")[::2] for each in sight.mark.split())
        gone = bool(text) and not sight.exists
        if gone or any(int(listed.get(id, at)) != at for id, at in operation.answered.items()):
            raise RunbookError(
                code="secrets_differ",
                attempted="write a secret",
                object=f"{self._wanted['name']} of project {self._params['project']}",
                reason="somebody else has changed it right after it was written",
                remedy="Run the same command again once nobody else does.",
            )
        return sight

    def built_before(self, changed: int) -> list[dict[str, Any]]:
        """The deployments of its targets that work still and were built before it was changed last, newest first."""
        place = tuple(str(each) for each in ("deployments", *self._params.values()))
        if place not in self._looks:
            with closing(Vercel(self._params, self._context, os.environ, patience=_PATIENCE)) as vercel:
                self._looks[place] = tuple(islice(vercel.deployments(vercel.project()), _LISTED))
        return [
            {"id": each.id, "url": each.url, "target": each.environment, "created_at": as_iso(each.created_at)}
            for each in self._looks[place]
            if each.state == "READY"
            and not each.gone
            and each.environment in self._wanted["targets"]
            and each.created_at <= changed
        ]

    def _look(self) -> _Look:
        vercel = Vercel(self._params, self._context, os.environ, patience=_PATIENCE)
        try:
            project = vercel.project()
            records, hidden = vercel.variables(project)
            return _Look(project=project, records=tuple(records), hidden=hidden, now=vercel.now())
        finally:
            vercel.close()

    def _sight(self, look: _Look) -> Sight:
        (setting,) = read_settings([self._wanted], look.project)
        mine = [
            each
            for each in look.records
            if each.key == setting.key and each.branch == setting.branch and set(each.targets) & set(setting.places)
        ]
        if look.hidden and not mine:
            raise RunbookError(
                code="variables_hidden",
                attempted="look for an environment variable",
                object=f"{setting.key} of project {look.project.name}",
                reason="this token does not see all variables of production",
                remedy="Take a token that does.",
            )
        serves = look.project.production
        return Sight(
            exists=bool(mine),
            mark=" ".join(sorted(f"{each.id}@{each.updated_at}" for each in mine)),
            built=None if "production" not in setting.places else serves.created_at if serves is not None else 0,
            changed=max((each.updated_at for each in mine), default=look.now * 1000 + 999),
        )
