# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module vercel_info (private to ops.runbooks): what serves production, what could, and what stands in the way."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.client import VERCEL_SPEC, Vercel
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import (
    Deployment,
    Project,
    RollingRelease,
    Variable,
)
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.settings import TARGETS
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.target import served

INFO_SPEC = VERCEL_SPEC.merge(
    ArgumentSpec(
        options={
            "limit": {"type": "int", "default": 20},
            "variables": {"type": "bool", "default": True},
            "required": {"type": "list", "elements": "str", "default": []},
            "required_target": {"type": "str", "default": "production"},
        }
    )
)
#: Seconds that all questions may take together.
_PATIENCE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What Vercel says. ``domains`` are host names of production and what each of them serves."""

    project: Project
    deployments: tuple[Deployment, ...] = ()
    candidates: tuple[Deployment, ...] = ()
    domains: Mapping[str, str | None] = field(default_factory=dict)
    rolling: RollingRelease | None = None
    variables: tuple[Variable, ...] | None = None
    hidden: int = 0
    #: Names that one target has to have.
    required: tuple[str, ...] = ()
    required_target: str = "production"

    @property
    def missing(self) -> list[str] | None:
        """The required names that it has not, as far as this token sees; None where it was not looked for them."""
        if self.variables is None:
            return None
        place = self.project.environments.get(self.required_target, self.required_target)
        there = {each.key for each in self.variables if place in each.targets and each.branch is None}
        return sorted(set(self.required) - there)


def describe(known: Known) -> dict[str, Any]:
    """The object ``vercel``."""
    project = known.project
    variables = known.variables
    return {
        "project": project.name,
        "project_id": project.id,
        "paused": project.paused,
        "production": project.production.describe() if project.production is not None else None,
        "auto_assign": project.assigns,
        "repository": project.repository or None,
        "production_branch": project.production_branch or None,
        "ungated_pushes": project.assigns and bool(project.production_branch),
        "pinned_by_rollback": project.pinned_by_rollback,
        "rollback_reason": project.rollback_reason or None,
        "last_job": project.job.describe() if project.job is not None else None,
        "crons_deployment": project.crons_deployment,
        "rolling_release": known.rolling.describe() if known.rolling is not None else None,
        "domains": dict(known.domains),
        "candidates": [each.describe() for each in known.candidates],
        "deployments": [each.describe() for each in known.deployments],
        "variables": None if variables is None else [each.describe(project.environments) for each in variables],
        "missing_variables": known.missing,
        "hidden_variables": known.hidden,
    }


def notes(known: Known) -> tuple[str, ...]:
    """What a reader would overlook."""
    project = known.project
    said = []
    if project.pinned_by_rollback:
        said.append("Production is pinned by a rollback: pushes are built and do not reach it until a promote.")
    if project.production_id and (project.crons_deployment or project.production_id) != project.production_id:
        said.append(f"Crons run {project.crons_deployment}, while production serves {project.production_id}.")
    wrong = [host for host, found in known.domains.items() if found != project.production_id]
    if wrong:
        said.append(
            f"{', '.join(wrong)} {'serves' if len(wrong) == 1 else 'serve'} another deployment than production."
        )
    if known.missing:
        said.append(f"{known.required_target} lacks the variables {', '.join(known.missing)}.")
    if known.hidden:
        said.append(f"{known.hidden} environment variables of production cannot be seen with this token.")
    return tuple(said)


class VercelInfo(Operation[Known, Plan]):
    """Ask Vercel about one project."""

    noun: ClassVar[str] = "vercel"
    spec: ClassVar[ArgumentSpec] = INFO_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._vercel = Vercel(params, context, os.environ, patience=_PATIENCE)

    def observe(self) -> Known:
        """Every question once."""
        vercel, limit = self._vercel, max(0, self.params["limit"])
        project = vercel.project()
        target, known = self.params["required_target"], (*TARGETS, *project.environments)
        if target not in known:
            raise RunbookError(
                code="invalid_parameter",
                attempted="use required_target",
                object=repr(target),
                reason=f"project {project.name} has {', '.join(known)}",
                remedy="Name one of these.",
            )
        wanted = self.params["variables"] or self.params["required"]
        variables, hidden = vercel.variables(project) if wanted else (None, 0)
        usable = (each for each in vercel.candidates(project) if served(each) and each.id != project.production_id)
        return Known(
            project=project,
            deployments=tuple(islice(vercel.deployments(project), limit)),
            candidates=tuple(islice(usable, limit)),
            domains={host: vercel.serves(host) for host in vercel.production_domains(project)},
            rolling=vercel.rolling_release(project),
            variables=None if variables is None else tuple(variables),
            hidden=hidden,
            required=tuple(self.params["required"]),
            required_target=self.params["required_target"],
        )

    def plan(self, state: Known) -> Plan:
        """The answer; there is nothing to change."""
        return Plan(changed=False, result=describe(state), warnings=notes(state))

    def act(self, state: Known, plan: Plan) -> Mapping[str, Any]:
        """Never called: nothing is ever planned."""
        raise ValueError("an information module has nothing to carry out")

    def close(self) -> None:
        """Let go of connections."""
        self._vercel.close()
