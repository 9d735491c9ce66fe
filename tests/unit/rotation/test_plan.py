# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happens next, as far as it is a matter of the table, of dates, of templates and of what consumers say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._rotation import model
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.consumers import judge, read_answer
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.course import Facts, after, foresee
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import (
    Consumer,
    Declaration,
    Request,
    Target,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.engine import Engine
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.kept import Kept
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import Ledger, Value, Written
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.phases import TABLE, Action, Effect
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import (
    Seen,
    Sight,
    Step,
    Use,
    Wait,
    next_step,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Made
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys, Template, answer
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.vaults import open_vault

from harness.rotations import watched
from harness.servers import fresh_file_store
from harness.stores import failing, open_at

NOW = datetime(2026, 11, 29, tzinfo=UTC)
KEYS = Keys.read("kept-for-the-tests-alone-0123456789")


def test_the_table_is_whole() -> None:
    """Each row has all that is asked of it, every phase has a row that leads out of it, and every effect its code."""
    assert set(TABLE) == set(Action)
    assert {phase for row in TABLE.values() for phase in row.phases} == set(model.PHASES)
    for phase in model.PHASES:
        assert [row for row in TABLE.values() if phase in row.phases and row.leads_to - {phase}]
    assert all(row.recovery for row in TABLE.values())
    assert set(Engine._EFFECTS) == set(Effect) == {effect for row in TABLE.values() for effect in row.effects}


def test_what_cannot_be_undone_is_done_where_there_is_no_way_back() -> None:
    """A row that deletes begins in a phase that nothing else leads out of, so that a run which died goes on with it."""
    moving = {action: row for action, row in TABLE.items() if action not in (Action.ENTER, Action.WRITE)}
    for action, row in moving.items():
        if Effect.DELETE in row.effects:
            assert [other for other, beside in moving.items() if row.phases & beside.phases] == [action]


def secret(built: int | None, changed: int) -> tuple[Declaration, Ledger, Seen]:
    """One in its grace period, long over, on a service where a change waits for a deployment."""
    value, old = (Value(id=each, fingerprint="", slot=each, since=NOW - timedelta(days=9)) for each in ("new", "old"))
    written = Written(destination="web", holds="new", mark="m", at=NOW, changed=changed)
    ledger = Ledger(phase="grace", current=value, old=old, written=(written,), not_before=NOW - timedelta(days=2))
    declaration = Declaration(name="x", provider="generated", targets=(Target(name="web", kind="vercel_env"),))
    return declaration, ledger, Seen(sights=(("web", Sight(exists=True, mark="m", built=built, changed=changed)),))


@pytest.mark.parametrize(("built", "goes_on"), [(None, True), (11, True), (10, False), (0, False)])
def test_a_rollback_stops_what_follows(built: int | None, goes_on: bool) -> None:
    """What serves was built before the variable was changed: it holds the value that was to be retired."""
    declaration, ledger, seen = secret(built, 10)
    step = next_step(declaration, ledger, seen, Request(), NOW, entered=True)
    assert isinstance(step, Wait) == (not goes_on)
    if isinstance(step, Wait):
        assert step.what == "deployment"


def test_a_new_value_is_tried_when_others_have_learned_of_it() -> None:
    """Not before, unless the earlier one is withdrawn at once; and what nobody sees is in force without a place."""
    ripe = Value(id="new", fingerprint="", slot="new", since=NOW - timedelta(minutes=20))
    declaration = Declaration(name="x", provider="mint", ripens=timedelta(minutes=20))
    staged = Ledger(phase="staged", new=ripe)
    young = replace(staged, new=replace(ripe, since=NOW - timedelta(minutes=19)))
    waits = next_step(declaration, young, Seen(), Request(), NOW, entered=True)
    assert isinstance(waits, Wait)
    assert (waits.what, waits.until) == ("date", NOW + timedelta(minutes=1))
    for ledger in (staged, replace(young, broken=True)):
        step = next_step(declaration, ledger, Seen(), Request(), NOW, entered=True)
        assert not isinstance(step, Wait)
        assert step.action is Action.TRY
    step = next_step(declaration, young, Seen(), Request(take_back=True), NOW, entered=True)
    assert not isinstance(step, Wait)
    assert step.action is Action.GIVE_UP
    first = next_step(declaration, Ledger(), Seen(), Request(), NOW, entered=True)
    assert not isinstance(first, Wait)
    assert first.action is Action.ADOPT


def test_a_value_that_the_service_sees_in_use_is_not_retired() -> None:
    declaration, ledger, seen = secret(None, 0)
    step = next_step(declaration, ledger, replace(seen, in_use="a worker"), Request(), NOW, entered=True)
    assert isinstance(step, Wait)
    assert "a worker" in step.reason


@pytest.mark.parametrize("phase", ["grace", "disabling"])
def test_a_value_that_is_found_stolen_in_its_grace_period_is_ended_whoever_uses_it(phase: str) -> None:
    """Nobody waits for a thief to log out; but where its service cannot end it there is nothing to hasten."""
    declaration, ledger, seen = secret(None, 0)
    declaration = replace(declaration, consumers=(Consumer(name="app", url="", reports="x"),), lasts=lambda _id: "")
    ledger = replace(ledger, phase=phase, not_before=NOW + timedelta(days=7))
    thief = replace(seen, in_use="session 7 (thief)", uses=(Use(consumer="app", uses="other"),))
    asked = Request(reason="compromise", break_first=True)
    steps = []
    for _step in range(2):
        step = next_step(declaration, ledger, thief, asked, NOW, entered=True)
        assert not isinstance(step, Wait)
        steps.append(step.action)
        ledger = after(ledger, step, Facts(), declaration, asked, thief, NOW)
    assert steps == [Action.HASTEN, Action.DISABLE]
    assert (ledger.phase, ledger.retired_at, ledger.withdrawn_at) == ("retiring", NOW, None)
    kept = replace(declaration, lasts=lambda _id: "it can only be deleted")
    for before in (replace(ledger, phase=phase, broken=False), replace(ledger, phase=phase)):
        assert isinstance(next_step(kept, before, thief, asked, NOW, entered=True), Wait)
    back = next_step(declaration, replace(ledger, phase="disabling"), thief, Request(take_back=True), NOW, entered=True)
    assert not isinstance(back, Wait)
    assert back.action is Action.TAKE_BACK


@pytest.mark.parametrize("phase", ["retiring", "watching"])
@pytest.mark.parametrize("lasts", ["", None], ids=["disabled", "kept by nobody"])
def test_a_value_that_is_found_stolen_later_waits_for_nobody(phase: str, lasts: str | None) -> None:
    """Who has not learned of it yet keeps the one before it, which is disabled, from being let go of, and no more."""
    declaration, ledger, seen = secret(9, 10)
    consumers = (Consumer(name="app", url="", reports="x"),)
    declaration = replace(declaration, consumers=consumers, lasts=lambda _id: lasts)
    ledger = replace(ledger, phase=phase, rotation_id="due", reason="scheduled", not_before=None)
    lags = replace(seen, uses=(Use(consumer="app", uses="other", accepts_other=True),))
    asked = Request(reason="compromise", break_first=True)
    told = foresee(declaration, ledger, lags, asked, NOW + timedelta(days=1), "run")
    ends = "disable the earlier value at once, so that what uses it fails until it has the new one"
    assert told.steps == (
        *(("ask nobody about the earlier value",) if phase == "retiring" else ()),
        "let go of the earlier value",
        "remove the earlier value for good",
        "begin a rotation of x",
        "make a new value (generated), and keep it",
        "try the new value before anybody gets it",
        *((ends,) if lasts == "" else ()),
        "write web (vercel_env)",
    )
    assert told.irreversible[0] == "the earlier value is gone for good"
    assert (told.ledger.phase, told.ledger.broken, told.wait.what) == ("verifying", True, "deployment")
    for patient in (Request(), Request(reason="compromise"), Request(reason="requested", rotation_id="y")):
        assert isinstance(next_step(declaration, ledger, lags, patient, NOW, entered=True), Wait)
    # The same rotation, entered again; and one whose earlier value is good until it is removed.
    meant = replace(ledger, reason="compromise", broken=True)
    assert isinstance(next_step(declaration, meant, lags, asked, NOW, entered=True), Wait)
    other = replace(asked, rotation_id="ticket-2")
    assert not isinstance(next_step(declaration, meant, lags, other, NOW, entered=True), Wait)
    kept = replace(declaration, lasts=lambda _id: "it can only be deleted")
    assert isinstance(next_step(kept, ledger, lags, asked, NOW, entered=True), Wait)


def test_what_is_declared_no_more_is_off_the_record_when_the_next_rotation_begins() -> None:
    declaration, ledger, seen = secret(None, 0)
    gone = Written(destination="gone", holds="old", mark="env_9@1", at=NOW - timedelta(days=99))
    ledger = replace(ledger, phase="idle", old=None, written=(gone, *ledger.written))
    begin = Step(action=Action.BEGIN)
    begun = after(ledger, begin, Facts(rotation_id="r"), declaration, Request(), seen, NOW)
    assert [each.destination for each in begun.written] == ["web"]


def test_a_step_with_effects_is_taken_in_an_epoch_of_ones_own() -> None:
    """And what it is going to do is on record before."""
    declaration, ledger, seen = secret(None, 0)
    for phase, action in (("grace", Action.RETIRE), ("disabling", Action.ENTER)):
        step = next_step(declaration, replace(ledger, phase=phase), seen, Request(), NOW, entered=False)
        assert not isinstance(step, Wait)
        assert step.action is action


@pytest.mark.parametrize("phase", ["watching", "clearing"])
def test_a_value_that_somebody_has_brought_back_is_not_removed(phase: str) -> None:
    declaration, ledger, seen = secret(None, 0)
    ledger, seen = replace(ledger, phase=phase), replace(seen, revived="it is active again")
    with failing("rotation_refused") as refused:
        next_step(declaration, ledger, seen, Request(), NOW, entered=True)
    assert "since it was disabled: it is active again" in refused().message
    assert ("take_back" in refused().message) is (phase == "watching")
    if phase == "watching":
        step = next_step(declaration, ledger, seen, Request(take_back=True), NOW, entered=True)
        assert not isinstance(step, Wait)
        assert step.action is Action.TAKE_BACK


def test_check_mode_stops_where_a_run_would() -> None:
    declaration, ledger, seen = secret(None, 0)
    told = foresee(declaration, ledger, seen, Request(), NOW, "run")
    assert (told.ledger.phase, told.wait.what) == ("watching", "date")
    assert told.steps == ("disable the earlier value", "find the earlier value out of use")
    told = foresee(declaration, replace(ledger, reason="compromise"), seen, Request(), NOW, "run")
    assert told.ledger.phase == "idle"
    assert told.irreversible == ("the earlier value is gone for good",)


@pytest.mark.parametrize("lasts", ["", "it can only be deleted", None])
def test_what_is_to_be_ended_first_is_said(lasts: str | None) -> None:
    """Before anybody has the new value, or by name why not; of what no service keeps nothing is said."""
    declaration, ledger, seen = secret(None, 0)
    declaration = replace(declaration, lasts=lambda _credential: lasts)
    ledger = replace(ledger, phase="idle", old=None)
    asked = Request(reason="compromise", break_first=True)
    told = foresee(declaration, ledger, seen, asked, NOW + timedelta(days=1), "run")
    steps = [each for each in told.steps if "earlier value at once" in each or "stays good" in each or "write" in each]
    assert [each.partition(",")[0] for each in steps] == {
        "": ["disable the earlier value at once", "write web (vercel_env)"],
        "it can only be deleted": [
            "try the new value before anybody gets it; x stays good as it was until the new value is in use",
            "write web (vercel_env)",
        ],
        None: ["write web (vercel_env)"],
    }[lasts]
    assert (told.ledger.withdrawn_at is not None) is (lasts == "")


def test_one_instance_that_lags_behind_is_enough() -> None:
    wanted, other, third = (read_answer("app", [each], "a", "b") for each in ("a", "b", "c"))
    assert [each.uses for each in (wanted, other, third)] == ["wanted", "other", "neither"]
    both = read_answer("app", ["a", "b"], "a", "b")
    assert (both.uses, both.accepts_other) == ("wanted", True)
    assert judge("app", [wanted, both, wanted]) == Use(consumer="app", uses="wanted", accepts_other=True)
    assert judge("app", [wanted, third, other]).uses == "other"
    assert judge("app", [wanted, Use(consumer="app", uses="silent", why="answers 503")]).why == "answers 503"


def test_templates() -> None:
    """Parts are percent-encoded in a URL, and only there."""
    parts, beside = {"user": "app_b", "password": "a/b c", "host": "db", "port": "5432"}, {"password": "old"}
    url = Template("postgresql://{user}:{password}@{host}:{port}/shop")
    assert url.render(parts, None) == "postgresql://app_b:a%2Fb%20c@db:5432/shop"
    assert Template("{password},{previous_password}").render(parts, beside) == "a/b c,old"
    assert Template("{value}{previous}").render({"value": "new"}, {"value": "old"}) == "newold"
    assert Template("{previous}").render({"value": "new"}, None) == ""
    url.check(frozenset(parts), "x")
    for wrong in ("{values}", "nothing", "{previous}"):
        with failing("invalid_parameter"):
            Template(wrong).check(frozenset(parts), "x")


def test_what_is_derived_from_the_key_is_not_the_same_twice() -> None:
    other = Keys.read("another-key-for-the-tests-0123456789")
    assert KEYS.fingerprint("x") != other.fingerprint("x")
    assert KEYS.fingerprint("x") == Keys.read("kept-for-the-tests-alone-0123456789").fingerprint("x")
    assert len({KEYS.sealing().hex(), KEYS.marks(), KEYS.fingerprint("")}) == 3
    assert answer("value", "nonce-1") != answer("value", "nonce-2")
    assert "kept" not in repr(KEYS)


def test_a_value_is_read_from_its_own_slot_only(tmp_path: Path) -> None:
    file_store = fresh_file_store(tmp_path / "store")
    store = open_at(file_store)
    vault = open_vault({"environment": "test"}, Kept(), "x", KEYS, watched(), store)
    assert vault.keep("a.1", Made(id="a", parts={"value": "secret"})) == "a.1"
    assert vault.keep("a.1", Made(id="a", parts={"value": "another"})) is None, "a slot is written once"
    assert vault.open("a.1") == {"value": "secret"}
    assert vault.open("a.2") is None
    assert "secret" not in file_store.read(vault.reference("a.1")).decode()
    store.put(vault.reference("b.1"), file_store.read(vault.reference("a.1")))
    with failing("secret_unreadable"):
        vault.open("b.1")
    store.put(vault.reference("c.1"), b"[]")
    with failing("secret_unreadable"):
        vault.open("c.1")
    assert vault.slots() == ("a.1", "b.1", "c.1")
