# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module runbook_notify (private to ops.runbooks): tell people of a failure and of the recovery after it.

Whether a success is a recovery is known from a small document,
``<environment>/databases/<name>/alerts/<runbook>``. Nothing here fails a run: a message that could not be sent is a
warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso, parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import ID
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._status.outcome import Outcome, truth
from ansible_collections.ops.runbooks.plugins.module_utils._status.webhook import beat, post_text, protect_address

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Document, Series

NOTIFY_SPEC = STORE_SPEC.merge(
    RUN_SPEC,
    ArgumentSpec(
        options={
            "outcome": {"type": "dict", "required": True},
            "webhook_url": {"type": "str", "no_log": True},
            "heartbeat_url": {"type": "str", "no_log": True},
            "alive": {"type": "bool", "default": False},
            "age": {"type": "int", "default": 0},
            "max_age": {"type": "str"},
        }
    ),
)
FAILURE, RECOVERY, NONE = "failure", "recovery", "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """What was told before. ``failing_since`` is '' where the last end was good, ``told`` the run last told of."""

    failing_since: str = ""
    told: str = ""
    number: int = 0
    unknown: str = ""


@dataclass(frozen=True, kw_only=True)
class NotifyPlan(Plan):
    """``kind`` of message and its text; ``beats`` where the heartbeat is due."""

    kind: str
    text: str
    beats: bool


def decide(outcome: Outcome, alerts: Alerts, run_id: str, *, webhook: bool) -> tuple[str, str]:
    """Which message is due, and why: failure once a run, recovery once after it, else none."""
    if not webhook:
        return NONE, "no webhook is set"
    if outcome.failed:
        if alerts.failing_since and alerts.told == run_id:
            return NONE, "this run's failure has been told already"
        return FAILURE, "the run failed"
    if alerts.unknown:
        return NONE, f"whether this is a recovery is unknown: {alerts.unknown}"
    if alerts.failing_since:
        return RECOVERY, f"it works again, having failed since {alerts.failing_since}"
    return NONE, "nothing had failed before"


def compose(kind: str, outcome: Outcome, alerts: Alerts, target: str, run_id: str) -> str:
    """The message: what, where, why, what now."""
    runbook = outcome.runbook or "a runbook"
    if kind == RECOVERY:
        return f"{target}: {runbook} works again (it had failed since {alerts.failing_since}). Run {run_id}."
    code = f" ({outcome.code})" if outcome.code else ""
    said = [f"{target}: {runbook} failed{code}.", outcome.message, f"Run {run_id}."]
    if outcome.again:
        said.append(f"Next: {outcome.again}")
    return " ".join(filter(None, said))


class Notify(Operation[Alerts, NotifyPlan]):
    """Send what is due, and remember that it was sent."""

    noun: ClassVar[str] = "notification"
    spec: ClassVar[ArgumentSpec] = NOTIFY_SPEC
    recorded: ClassVar[bool] = False

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        for option in ("webhook_url", "heartbeat_url"):
            if params[option]:
                protect_address(context.redactor, params[option])
        self._outcome = Outcome.read(params["outcome"])
        # The full name of a playbook, such as ops.runbooks.backup, is as good as the short one.
        short = self._outcome.runbook.rpartition(".")[2]
        self._runbook = short if ID.fullmatch(short) else "runbook"
        self._target = f"{params['environment']}/{params['name']}"

    def observe(self) -> Alerts:
        """What was told before; a store that cannot be asked is no reason to keep a failure to oneself."""
        if not self.params["webhook_url"]:
            return Alerts()
        try:
            document = self._series().current()
        except RunbookError as error:
            return Alerts(unknown=error.reason)
        return _alerts(document)

    def plan(self, state: Alerts) -> NotifyPlan:
        """See :func:`decide`."""
        webhook = bool(self.params["webhook_url"])
        kind, reason = decide(self._outcome, state, self.context.run_id, webhook=webhook)
        beats = bool(self.params["heartbeat_url"]) and self._alive() and not self._outcome.failed
        text = compose(kind, self._outcome, state, self._target, self.context.run_id) if kind != NONE else ""
        steps = (f"tell the webhook of a {kind}",) if kind != NONE else ()
        return NotifyPlan(
            changed=kind != NONE or beats,
            result={"sent": False, "kind": kind, "reason": reason, "heartbeat": False},
            steps=(*steps, "call the heartbeat") if beats else steps,
            after={"text": text} if text else {},
            kind=kind,
            text=text,
            beats=beats,
        )

    def _alive(self) -> bool:
        """Whether there is a backup to tell of: an old one that is found again day by day is none."""
        limit = self.params["max_age"]
        young = not limit or self.params["age"] <= parse_duration(limit, "max_age").total_seconds()
        return truth(self.params["alive"]) and young

    def act(self, state: Alerts, plan: NotifyPlan) -> Mapping[str, Any]:
        """Send, then remember: a message that is sent twice is better than one that is never sent."""
        result = dict(plan.result)
        if plan.kind != NONE:
            self.context.effect("tell the webhook")
            answer = post_text(self.params["webhook_url"], self.context.redactor.text(plan.text))
            result |= {"sent": answer.taken, "reason": plan.result["reason"] if answer.taken else answer.reason}
            if not answer.taken:
                self.context.warn(f"The webhook was not told of the {plan.kind} of {self._runbook}: {answer.reason}.")
            if answer.taken or plan.kind == FAILURE:
                self._remember(state, plan.kind, told=answer.taken)
        if plan.beats:
            self.context.effect("call the heartbeat")
            answer = beat(self.params["heartbeat_url"], self.context.clock)
            result["heartbeat"] = answer.taken
            if not answer.taken:
                self.context.warn(f"The heartbeat was not called: {answer.reason}.")
        return result

    def _remember(self, state: Alerts, kind: str, *, told: bool) -> None:
        """A failure counts whether it could be told or not; a recovery that could not is told by the next success."""
        now = iso(self.context.clock.now())
        body = {
            "state": "failing" if kind == FAILURE else "ok",
            "since": (state.failing_since or now) if kind == FAILURE else now,
            "told": self.context.run_id if told else "",
            "code": self._outcome.code,
        }
        try:
            self.context.effect("remember what the webhook was told")
            self._series().create_next(body, after=state.number)
        except RunbookError as error:
            self.context.warn(f"What the webhook was told could not be remembered: {error.reason}.")

    def _series(self) -> Series:
        from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Series

        environment, name = self.params["environment"], self.params["name"]
        return Series(self.state_store, f"{environment}/databases/{name}/alerts/{self._runbook}")


def _alerts(document: Document | None) -> Alerts:
    if document is None:
        return Alerts()
    failing = document.body.get("state") == "failing"
    return Alerts(
        failing_since=str(document.body.get("since", "")) if failing else "",
        told=str(document.body.get("told", "")),
        number=document.number,
    )
