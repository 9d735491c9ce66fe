# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module vercel_env (private to ops.runbooks): environment variables as they are listed, and nothing beside them.

One list is read, and only values that are compared are revealed. What was written is read back by the list; where an
answer was lost or somebody was faster, the world is looked at anew before anything is sent again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.fingerprint import KEY_VARIABLE, FingerprintKey
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Reply, Unanswered
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.client import Vercel
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.failures import message_of
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import Project, Variable
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.options import ENV_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.settings import Setting, read_settings, words
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.variables_plan import (
    Action,
    EnvPlan,
    Rules,
    SeenVariables,
    plan_variables,
)

#: How often the world is looked at anew, and variables in one request at most.
_ROUNDS, _BATCH = 4, 50
#: Seconds before another look, where the last request has not gone as it should.
_PAUSE = 0.5
#: What Vercel says where another record has the place.
_TAKEN = ("ENV_ALREADY_EXISTS", "ENV_CONFLICT", "existing_key_and_target")


class VercelEnv(Operation[SeenVariables, EnvPlan]):
    """The environment variables of one project."""

    noun: ClassVar[str] = "env"
    spec: ClassVar[ArgumentSpec] = ENV_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context, *, doubting: bool = False) -> None:
        """``doubting`` is for one who knows that what is there is not what was written, whatever its mark says."""
        super().__init__(params, context)
        patience = parse_duration(params["timeout"], "timeout").total_seconds()
        self._vercel = Vercel(params, context, os.environ, patience=patience)
        self._settings: tuple[Setting, ...] = ()
        self._key = params["fingerprint_key"] or os.environ.get(KEY_VARIABLE) or ""
        context.redactor.protect(self._key)
        #: Values that this run has read or written, by record and time of its last change.
        self._values: dict[tuple[str, int], str] = {}
        #: Records as they were before anything was sent, where their marks are not believed.
        self._doubted: frozenset[tuple[str, int]] | None = None if doubting else frozenset()
        #: When each record was changed by this run, as Vercel has answered.
        self.answered: dict[str, int] = {}
        #: Names and places that Vercel has refused together, since a record holds one of the places.
        self._taken: set[tuple[str, tuple[str, ...]]] = set()

    @classmethod
    def words(cls, params: Mapping[str, Any]) -> frozenset[str]:
        """See :func:`ops.runbooks._vercel.settings.words`."""
        return words(params.get("variables"))

    def observe(self) -> SeenVariables:
        """The records, with the values that have to be compared."""
        project = self._vercel.project()
        self._settings = read_settings(self.params["variables"], project)
        records, hidden = self._vercel.variables(project)
        if self._doubted is None:
            self._doubted = frozenset((each.id, each.updated_at) for each in records)
        wanted = {(each.key, place, each.branch) for each in self._settings if each.present for place in each.places}
        revealed = tuple(self._revealed(project, each, wanted) for each in records)
        return SeenVariables(project=project, records=revealed, hidden=hidden, now=self._vercel.now())

    def plan(self, state: SeenVariables) -> EnvPlan:
        """See :func:`plan_variables`."""
        values = frozenset(each.value for each in self._settings)
        rules = Rules(
            exclusive=self.params["exclusive"],
            unknown=self.params["on_unknown"],
            key=FingerprintKey.read(self._key, values) if self._key else None,
            required=tuple(self.params["required"]),
            doubted=self._doubted or frozenset(),
        )
        return plan_variables(self._settings, state, rules)

    def resources(self, plan: EnvPlan) -> tuple[str, ...]:
        """The variables of the app: what serves is not touched, so that nobody else has to wait."""
        return (f"variables/{self.params['name']}",) if self.params["store"] else ()

    def identity(self, plan: EnvPlan) -> str:
        """They are what they are listed as."""
        return "variables"

    def act(self, state: SeenVariables, plan: EnvPlan) -> Mapping[str, Any]:
        """Send the requests, and look whether anything is left to do."""
        now = plan
        for _round in range(_ROUNDS):
            lost = self._apply(state.project, now.actions)
            if lost is not None or self._taken:
                self._vercel.api.sleep(_PAUSE)
            state = self.observe()
            now = self.plan(state)
            for warning in now.warnings:
                self.context.warn(warning)
            if not now.changed:
                return {**plan.result, "missing": now.result["missing"], "hidden": state.hidden}
            self._refuse_unseen(now.actions)
        if lost is not None:
            raise lost
        raise RunbookError(
            code="variables_differ",
            attempted="set environment variables",
            object=f"{', '.join(sorted({each.key for each in now.actions}))} of {self._vercel.place}",
            reason="what is read back is not what was written; somebody else changes them too",
            remedy="Run the same command again once nobody else does.",
        )

    def close(self) -> None:
        """Let go of connections."""
        self._vercel.close()

    def _revealed(self, project: Project, record: Variable, wanted: set[tuple[str, str, str | None]]) -> Variable:
        """A record with its value, where that is compared and can be known."""
        listed = any((record.key, place, record.branch) in wanted for place in record.targets)
        if not listed or record.value is not None or record.owner or record.kind == "system":
            return record
        known = self._values.get((record.id, record.updated_at))
        if known is None and record.kind != "sensitive":
            shown = self._vercel.variable(project, record.id)
            known = shown.value if shown is not None else None
            if shown is not None and known is not None:
                self._values[record.id, shown.updated_at] = known
        return record if known is None else replace(record, value=known)

    def _apply(self, project: Project, actions: Sequence[Action]) -> Unanswered | None:
        """Send requests until one is not answered; then the next look tells what became of it."""
        try:
            for batch in _batches(actions):
                self.context.effect(batch[0].what)
                if batch[0].kind == "create":
                    self._create(project, batch)
                elif batch[0].kind == "delete":
                    ids = [each.record.id for each in batch if each.record is not None]
                    self._good(self._vercel.delete_variables(project, ids), batch)
                else:
                    self._edit(project, batch[0])
        except Unanswered as error:
            return error
        return None

    def _edit(self, project: Project, action: Action) -> None:
        record = action.record
        if record is None:
            raise ValueError("what is changed is there")
        reply = self._vercel.edit_variable(project, record.id, action.body)
        if reply.status == 404 or not self._good(reply, [action]):
            # It is gone, or another record has its place: the next look tells.
            return
        known = action.body.get("value", record.value)
        made = Variable.read(reply.fields)
        self.answered[made.id] = made.updated_at
        if known is not None:
            self._values[made.id, made.updated_at] = known

    def _create(self, project: Project, batch: Sequence[Action]) -> None:
        reply = self._vercel.create_variables(project, [each.body for each in batch])
        if not self._good(reply, batch):
            return
        created, failed = reply.fields.get("created"), reply.fields.get("failed")
        for item in created if isinstance(created, list) else [created]:
            made = Variable.read(item) if isinstance(item, Mapping) else None
            values = [each.body["value"] for each in batch if made is not None and _same(made, each)]
            if made is not None:
                self.answered[made.id] = made.updated_at
            if made is not None and values:
                self._values[made.id, made.updated_at] = values[0]
        for item in failed if isinstance(failed, list) else []:
            self._refused(item if isinstance(item, Mapping) else {}, batch)

    def _good(self, reply: Reply, batch: Sequence[Action]) -> bool:
        """Whether the request was carried out; False where a record has the place, which the next look shows."""
        if not reply.good and (batch[0].kind != "delete" or reply.status != 404):
            self._refused(reply.fields, batch, reply)
            return False
        return True

    def _refused(self, said: Mapping[str, Any], batch: Sequence[Action], reply: Reply | None = None) -> None:
        """Note that a place is taken. Raises what Vercel refuses for another reason."""
        error = said.get("error")
        error = error if isinstance(error, Mapping) else {}
        names = ", ".join(dict.fromkeys(each.key for each in batch))
        name = next((str(error[key]) for key in ("envVarKey", "key") if error.get(key)), names)
        if str(error.get("code", "")) in _TAKEN:
            self._taken |= {(each.key, each.after) for each in batch if each.key == name or name == names}
            return
        reply = reply or Reply(status=400, body={"error": dict(error)})
        failure = self._vercel.refusal(reply, f"set the environment variables {name}")
        if reply.status == 400:
            quoted = message_of(reply, self.context.redactor) or "no reason given"
            failure.reason = f"Vercel did not take {name} ({quoted})"
        raise failure

    def _refuse_unseen(self, actions: Sequence[Action]) -> None:
        """A place that is taken by nothing that the list shows will be so tomorrow."""
        unseen = sorted(
            {each.key for each in actions if each.kind == "create" and (each.key, each.after) in self._taken}
        )
        if unseen:
            raise RunbookError(
                code="variables_hidden",
                attempted="create an environment variable",
                object=f"{', '.join(unseen)} of {self._vercel.place}",
                reason="Vercel says that it exists, and this token does not see it",
                remedy="Take a token that sees the variables of production.",
            )


def _batches(actions: Sequence[Action]) -> Iterator[list[Action]]:
    """What goes into one request: several that are new, several that go, and each change by itself."""
    for kind, group in groupby(actions, key=lambda each: each.kind):
        listed = list(group)
        size = _BATCH if kind in ("create", "delete") else 1
        yield from (listed[start : start + size] for start in range(0, len(listed), size))


def _same(made: Variable, action: Action) -> bool:
    """Whether a record is what a request has asked for."""
    wanted = (action.key, set(action.after), action.body.get("gitBranch"))
    return (made.key, set(made.targets), made.branch) == wanted
