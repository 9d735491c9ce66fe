# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module release_plan (private to ops.runbooks): what is left to do for a release, and a digest over it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import check_name, is_commit
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import taken_away
from ansible_collections.ops.runbooks.plugins.module_utils._release.digest import check_holds
from ansible_collections.ops.runbooks.plugins.module_utils._release.elsewhere import read as read_elsewhere
from ansible_collections.ops.runbooks.plugins.module_utils._release.fitting import judged
from ansible_collections.ops.runbooks.plugins.module_utils._release.plan import (
    AHEAD,
    MIGRATION,
    Found,
    Wanted,
    phase_of,
    plan_release,
    read_migrations,
)
from ansible_collections.ops.runbooks.plugins.module_utils._release.releases import Recorded, Releases
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.client import VERCEL_SPEC, Vercel
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.deployment_plan import prebuilt_source
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import Deployment, Project
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.move_plan import Seen, check_service, check_target
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.moves import Moves
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.options import FORBIDDEN, OUTDATED
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.output import read_output
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.resolve import check_own, resolve
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.target import (
    RELATIVE,
    Outdated,
    Release,
    Wish,
    find_release,
    served,
)

PLAN_SPEC = STORE_SPEC.merge(
    VERCEL_SPEC,
    ArgumentSpec(
        options={
            "release": {"type": "str", "required": True},
            "deployment": {"type": "str", "default": ""},
            "prebuilt": {"type": "path"},
            "planned": {"type": "dict", "default": {}},
            "build": {"type": "str", "choices": ["none", "git", "prebuilt"], "default": "none"},
            "migrations": {"type": "list", "elements": "dict", "default": [], "options": MIGRATION},
            "databases": {"type": "list", "elements": "str", "default": []},
            "env_changes": {"type": "list", "elements": "str", "default": []},
            "required_variables": {"type": "list", "elements": "str", "default": []},
            "forbidden": {"type": "list", "elements": "dict", "default": [], "options": FORBIDDEN},
            "outdated": {"type": "list", "elements": "dict", "default": [], "options": OUTDATED},
            "ungated_pushes": {"type": "str", "choices": ["refuse", "accept"], "default": "refuse"},
            "break_glass": {"type": "str", "default": ""},
            "no_way_back": {"type": "str", "default": ""},
            "attempt_max_age": {"type": "str", "default": "1h"},
            "unfinished": {"type": "list", "elements": "str", "default": []},
            "others": {"type": "list", "elements": "str", "default": []},
        }
    ),
)
#: Seconds that Vercel has for all questions, and for one of them while it gives no answer at all.
_PATIENCE, _OUTAGE = 60, 20
#: Releases that are looked at.
_RECORDS = 50


class ReleasePlan(Operation[Found, Plan]):
    """Find out what a release is, where it stands, and what is left to do."""

    noun: ClassVar[str] = "release"
    spec: ClassVar[ArgumentSpec] = PLAN_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._release = params["release"].strip()
        if not self._release or self._release in RELATIVE:
            raise RunbookError(
                code="invalid_parameter",
                attempted="plan a release",
                object="release",
                reason="it names no commit and no deployment",
                remedy="Give the whole id of a commit, or a deployment by its id (dpl_...) or address.",
            )
        self._wanted = Wanted(
            environment=params["environment"],
            name=params["name"],
            release=self._release,
            build=params["build"],
            migrations=read_migrations(params["migrations"]),
            env_changes=tuple(params["env_changes"]),
            required=tuple(params["required_variables"]),
            forbidden={each["deployment_id"]: each["reason"] for each in params["forbidden"]},
            outdated=tuple(Outdated.read(each) for each in params["outdated"]),
            ungated_pushes=params["ungated_pushes"],
            retry=" ".join(params["break_glass"].split()),
            no_way_back=" ".join(params["no_way_back"].split()),
            attempt_max_age=parse_duration(params["attempt_max_age"], "attempt_max_age"),
        )
        self._vercel = Vercel(params, context, os.environ, patience=_PATIENCE, persistence=_OUTAGE)

    def observe(self) -> Found:
        """Vercel, the releases and the moves on record. What cannot serve production is refused here."""
        environment, name = self.params["environment"], self.params["name"]
        recorded = Releases(self.state_store, environment, name, self.context).newest(_RECORDS)
        databases = dict.fromkeys(check_name(each, "databases") for each in self.params["databases"])
        taken = {each: taken_away.read(self.state_store, environment, each) for each in databases}
        releases = tuple(judged(recorded, taken))
        moves = tuple(Moves(self.state_store, environment, name, self.context).newest_first())
        project = self._vercel.project()
        deployment = self._find(project, releases)
        found = Found(
            project=project,
            now=self.state_store.now(),
            deployment=deployment,
            output=self._output() if deployment is None else "",
            releases=releases,
            moves=moves,
            unfinished=frozenset(self.params["unfinished"]),
            elsewhere=tuple(
                read_elsewhere(self.state_store, environment, self.params["others"], self._release, self.context)
            ),
        )
        phase = phase_of(found)
        if phase == "done":
            return found
        if phase in AHEAD:
            self._check(project, deployment)
        variables, hidden = self._variables(project) if phase in AHEAD else (frozenset(), 0)
        candidates = tuple(filter(served, self._vercel.candidates(project)))
        return replace(found, candidates=candidates, variables=variables, hidden=hidden)

    def plan(self, state: Found) -> Plan:
        """See :func:`plan_release`. Raises ``plan_changed`` where it is not what was planned before."""
        plan = plan_release(self._wanted, state)
        check_holds(self._wanted, self.params["planned"], plan.result)
        return plan

    def act(self, state: Found, plan: Plan) -> Mapping[str, Any]:
        """Never called: nothing is ever planned for itself to do."""
        raise ValueError("an information module has nothing to carry out")

    def close(self) -> None:
        """Let go of connections."""
        self._vercel.close()

    def _find(self, project: Project, releases: tuple[Recorded, ...]) -> Deployment | None:
        """What the release is; None where it has to be built. Raises ``deployment_missing``."""
        wish = replace(self._wish(releases), to=self.params["deployment"].strip() or self._release)
        try:
            found = resolve(self._vercel, wish, project, project.production_id, None)
        except RunbookError as error:
            if error.code != "deployment_missing":
                raise
            if self._wanted.build == "prebuilt" or (self._wanted.build == "git" and is_commit(self._release)):
                return None
            raise
        if not find_release(wish.to, wish.releases):
            # Where a domain leads is another deployment tomorrow.
            check_own(self._vercel, wish.to, found)
        return found

    def _output(self) -> str:
        """The mark of what was built here, for the digest. Raises ``source_missing``, ``source_unusable``."""
        directory = self.params["prebuilt"]
        if self.params["build"] != "prebuilt" or not directory:
            return ""
        return prebuilt_source(read_output(Path(directory), "production"), directory).mark

    def _check(self, project: Project, deployment: Deployment | None) -> None:
        wish = self._wish(())
        if deployment is not None:
            check_target(wish, deployment, project)
        target = deployment or Deployment(id=self._release)
        seen = Seen(
            project=project,
            left=project.production_id,
            target=deployment,
            rolling=self._vercel.rolling_release(project),
        )
        check_service(wish, seen, target)

    def _wish(self, releases: tuple[Recorded, ...]) -> Wish:
        return Wish(
            kind="promote",
            to=self._release,
            forbidden=self._wanted.forbidden,
            outdated=self._wanted.outdated,
            releases=tuple(Release.read(each.describe()) for each in releases),
        )

    def _variables(self, project: Project) -> tuple[frozenset[str], int]:
        """The names of what builds for production get; asked only where some are required."""
        if not self._wanted.required:
            return frozenset(), 0
        variables, hidden = self._vercel.variables(project)
        return frozenset(each.key for each in variables if "production" in each.targets), hidden
