# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runbook_lock, runbook_record and runbook_notify decide."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.lease import Holder, LockState
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor
from ansible_collections.ops.runbooks.plugins.module_utils._status.evidence import Found, plan_closing, plan_evidence
from ansible_collections.ops.runbooks.plugins.module_utils._status.locking import Seen, Wish, plan_lock
from ansible_collections.ops.runbooks.plugins.module_utils._status.notify import (
    FAILURE,
    NONE,
    RECOVERY,
    Alerts,
    compose,
    decide,
)
from ansible_collections.ops.runbooks.plugins.module_utils._status.outcome import Outcome
from ansible_collections.ops.runbooks.plugins.module_utils._status.resources import resource_of
from ansible_collections.ops.runbooks.plugins.module_utils._status.webhook import escape, protect_address

from harness.stores import failing

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
LEASE = timedelta(minutes=2)
ME = Holder(runbook="migrate", target="main", identity="v7")
FREE = LockState(resource="database/main", state="free")
MINE = LockState(
    resource="database/main", state="held", holder=ME, run_id="mine", since=NOW - LEASE, until=NOW + LEASE * 0.9
)
OTHERS = replace(MINE, run_id="another", holder=Holder(runbook="backup", target="main", identity="daily"))


def wish(present: bool) -> Wish:
    return Wish(present=present, run_id="mine", holder=ME, lease=LEASE)


@pytest.mark.parametrize(
    ("lock", "changed", "says"),
    [
        (FREE, True, "take the lock"),
        (MINE, False, ""),
        (replace(MINE, until=NOW + LEASE * 0.4), True, "renew the lock"),
        (replace(MINE, state="lapsed", until=NOW - LEASE), True, "renew the lock"),
        (OTHERS, True, "wait until backup of main (daily) in run another"),
        (replace(OTHERS, state="lapsed"), True, "take over the lock of database/main that backup of main (daily)"),
    ],
)
def test_taking_a_lock(lock: LockState, changed: bool, says: str) -> None:
    plan = plan_lock(Seen(lock=lock, now=NOW), wish(present=True))
    assert plan.changed is changed
    assert says in "; ".join(plan.steps)
    assert plan.result["state"] == "held"
    assert plan.result["run_id"] == "mine"
    assert (plan.before != plan.after) is changed


@pytest.mark.parametrize(
    ("lock", "changed", "state"),
    [
        (FREE, False, "free"),
        (MINE, True, "free"),
        (replace(MINE, state="lapsed"), True, "free"),
        (OTHERS, False, "held"),
        (replace(OTHERS, state="lapsed"), False, "lapsed"),
    ],
)
def test_releasing_a_lock(lock: LockState, changed: bool, state: str) -> None:
    plan = plan_lock(Seen(lock=lock, now=NOW), wish(present=False))
    assert plan.changed is changed
    assert plan.result["state"] == state


@pytest.mark.parametrize("resource", ["database/main", "app/web", "secret/stripe.key", None])
def test_resources(resource: str | None) -> None:
    assert resource_of({"resource": resource, "name": "main"}) == (resource or "database/main")


@pytest.mark.parametrize("resource", ["main", "database/", "database/../x", "table/x", "database/a/b", "/main"])
def test_no_resources(resource: str) -> None:
    with failing("invalid_parameter"):
        resource_of({"resource": resource, "name": "main"})


WANTED = {"what": "it was moved", "status": "done", "result": {}, "measurements": {"seconds": 1}, "identity": "dns-1"}


def test_evidence_is_written_once() -> None:
    plan = plan_evidence(None, WANTED, "e/evidence/main/dns-1.json")
    assert plan.changed
    assert plan.result["key"] == "e/evidence/main/dns-1.json"
    again = plan_evidence({**WANTED, "who": {}, "run_id": "earlier"}, WANTED, "k")
    assert not again.changed
    assert again.result["run_id"] == "earlier"
    assert not again.warnings


def test_evidence_that_differs_stands() -> None:
    plan = plan_evidence({**WANTED, "what": "it was not"}, WANTED, "k")
    assert not plan.changed
    assert plan.result["what"] == "it was not"
    (warning,) = plan.warnings
    assert "another what;" in warning


def test_closing_leaves_the_living_alone() -> None:
    records = (("k1", "killed"), ("k2", "another"), ("k3", "mine"))
    found = Found(open_records=records, lock=OTHERS)
    assert plan_closing(found, "mine").result["closed"] == ["k1"]
    for lock in (FREE, replace(OTHERS, state="lapsed")):
        assert plan_closing(replace(found, lock=lock), "mine").result["closed"] == ["k1", "k2"]
    assert not plan_closing(Found(lock=FREE), "mine").changed


FAILED, FINE = Outcome(runbook="backup", failed=True), Outcome(runbook="backup", changed=True)
FAILING = Alerts(failing_since="2026-11-19T02:00:00Z", told="earlier", number=3)
BLIND = Alerts(unknown="it could not be reached")


@pytest.mark.parametrize(
    ("outcome", "alerts", "webhook", "kind"),
    [
        (FAILED, Alerts(), True, FAILURE),
        (FAILED, FAILING, True, FAILURE),
        (FAILED, replace(FAILING, told="mine"), True, NONE),
        (FAILED, replace(FAILING, told=""), True, FAILURE),
        (FAILED, Alerts(told="mine"), True, FAILURE),
        (FAILED, BLIND, True, FAILURE),
        (FAILED, Alerts(), False, NONE),
        (FINE, FAILING, True, RECOVERY),
        (FINE, replace(FAILING, told="mine"), True, RECOVERY),
        (FINE, Alerts(), True, NONE),
        (FINE, BLIND, True, NONE),
        (FINE, FAILING, False, NONE),
    ],
)
def test_which_message_is_due(outcome: Outcome, alerts: Alerts, webhook: bool, kind: str) -> None:
    decided, reason = decide(outcome, alerts, "mine", webhook=webhook)
    assert decided == kind
    assert reason


def test_messages() -> None:
    failed = Outcome(
        runbook="backup", failed=True, code="login_denied", message="Could not log in.", command="ansible-playbook x"
    )
    assert compose(FAILURE, failed, Alerts(), "production/main", "run-1") == (
        "production/main: backup failed (login_denied). Could not log in. Run run-1. Next: ansible-playbook x"
    )
    wrong = replace(failed, code="invalid_parameter")
    assert compose(FAILURE, wrong, Alerts(), "t", "r").endswith(
        "Next: the same command again, with its inputs corrected"
    )
    assert compose(RECOVERY, FINE, FAILING, "production/main", "run-2") == (
        "production/main: backup works again (it had failed since 2026-11-19T02:00:00Z). Run run-2."
    )


def test_text_that_means_something_to_slack() -> None:
    assert escape("<!channel> a & b") == "&lt;!channel&gt; a &amp; b"


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        (
            "https://hooks.slack.com/services/T0/B0/abcdefghijklmnopqrstuvwx",
            ["/services/T0/B0/abcdefghijklmnopqrstuvwx"],
        ),
        ("https://hooks.slack.com/services/T0/B0/abcdefghijklmnopqrstuvwx", ["abcdefghijklmnopqrstuvwx"]),
        ("https://u:passw0rd@hc.example.com/ping", ["passw0rd"]),
        ("https://example.com/x?token=0123456789abcdef", ["token=0123456789abcdef"]),
    ],
)
def test_parts_of_an_address_are_secret(address: str, parts: list[str]) -> None:
    redactor = Redactor()
    protect_address(redactor, address)
    shown: Any = redactor.value([address, *parts])
    assert not any(part in text for text in shown for part in parts)
