# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine on a real store, real files and a consumer that answers; killed at every effect."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

from harness.rotations import App, Killed, Secret, app, declared, made, places, texts, whole
from harness.stores import failing


@pytest.fixture(scope="module")
def consumer() -> Iterator[App]:
    with app() as made:
        yield made


@pytest.fixture
def secret(tmp_path: Path, consumer: App) -> Secret:
    return made(tmp_path / "secret", consumer)


def test_a_quarter(secret: Secret, consumer: App) -> None:
    """From one value to the next: each run does what it may, says what it waits for, and the second one nothing."""
    first = texts(secret)[0]
    assert len(first) == 43
    assert oct(Path(secret.destinations[0]["path"]).stat().st_mode & 0o777) == "0o600"
    rest = secret.run()
    assert (rest["changed"], rest["phase"], rest["waits_for"]["what"]) == (False, "idle", "date")
    secret.days = 91
    told = secret.run(check=True)
    assert (told["changed"], told["phase"], texts(secret)) == (True, "verifying", [first, ""])
    verifying = secret.run()
    assert verifying["steps"] == told["steps"]
    assert (verifying["phase"], verifying["waits_for"]["what"]) == ("verifying", "use")
    second = texts(secret)[0]
    assert texts(secret) == [second, first]
    assert second != first
    assert not secret.run()["changed"]
    consumer.start()
    grace = secret.run()
    assert (grace["phase"], grace["waits_for"]["what"], grace["proof"]) == ("grace", "date", "asked app")
    assert not secret.run()["changed"]
    secret.days += 8
    retiring = secret.run()
    assert (retiring["phase"], retiring["waits_for"]["what"], texts(secret)) == ("retiring", "use", [second, ""])
    consumer.start()
    assert secret.run()["phase"] == "watching"
    assert len(secret.kept) == 2
    secret.days += 2
    over = secret.run()
    assert (over["phase"], over["last"]["outcome"], over["earlier_value"]) == ("idle", "rotated", None)
    assert len(secret.kept) == 1
    assert not secret.run()["changed"]


def test_killed_before_each_effect(tmp_path: Path, secret: Secret, consumer: App) -> None:
    """And so after each: between two effects nothing happens outside. Then clean runs come to the same end.

    The last case is beyond the last effect, so that none of them was missed.
    """
    first, started = Path(secret.store.removeprefix("file://")).parent, consumer.values
    for number in range(200):
        root = tmp_path / f"killed-{number}"
        shutil.copytree(first, root)
        again = secret.at(root / "store", declared(root))
        again.days = 91
        consumer.start(*places(root))
        before = texts(again)[0]
        killed = whole(again, consumer, die_before=number)
        value, previous = texts(again)
        assert (previous, consumer.values) == ("", (value,))
        assert value != before
        assert len(again.kept) == 1
        assert [path.name for path in root.iterdir() if path.name not in ("store", "current", "previous")] == []
        shutil.rmtree(root)
        if not killed:
            break
    assert number > 20
    consumer.values = started


def test_a_run_that_was_asleep_does_nothing_more(secret: Secret, consumer: App) -> None:
    """Another run goes on with the rotation between a look at the ledger and an effect; at each effect."""
    secret.days = 91
    number, overtaken = 0, 0
    while True:
        begun = secret.ledger
        try:
            secret.run(meanwhile={number: lambda: secret.run() and None})
        except RunbookError as error:
            overtaken += error.code == "rotation_overtaken"
        if secret.ledger.phase == "verifying":
            break
        assert secret.ledger != begun
        number += 1
    assert overtaken
    assert len({each.holds.partition("+")[0] for each in secret.ledger.written}) == 1
    consumer.start()
    assert secret.run()["phase"] == "grace"


def test_the_way_back_of_a_value_that_nobody_uses_yet(secret: Secret, consumer: App) -> None:
    """It is over at once, since whoever uses the value from before has never left it."""
    first = texts(secret)[0]
    secret.days = 91
    secret.run()
    over = secret.run(take_back=True)
    assert (over["phase"], over["last"]["outcome"], over["waits_for"]["what"]) == ("idle", "taken back", "person")
    assert (texts(secret), len(secret.kept)) == ([first, ""], 1)
    assert not secret.run()["changed"], "no rotation begins by itself after one was taken back"
    assert not secret.run(take_back=True)["changed"]
    assert secret.run(reason="requested")["phase"] == "verifying"


def test_the_way_back_from_the_watch_period(secret: Secret, consumer: App) -> None:
    """What was there before is there again, with the rejected value beside it until nobody uses that."""
    first = texts(secret)[0]
    watching(secret, consumer)
    rejected = texts(secret)[0]
    back = secret.run(take_back=True)
    assert (back["phase"], back["waits_for"]["what"]) == ("returning", "use")
    assert texts(secret) == [first, rejected]
    assert not secret.run(take_back=True)["changed"]
    consumer.start()
    over = secret.run()
    assert (over["phase"], over["last"]["outcome"], texts(secret)) == ("idle", "taken back", [first, ""])
    assert len(secret.kept) == 1


def watching(secret: Secret, consumer: App) -> None:
    """Bring a secret into its watch period."""
    secret.days = 91
    secret.run()
    consumer.start()
    secret.run()
    secret.days += 8
    secret.run()
    consumer.start()
    assert secret.run()["phase"] == "watching"


def test_a_value_that_nobody_has_had_is_given_up(secret: Secret) -> None:
    secret.days = 91
    first = texts(secret)
    with pytest.raises(Killed):
        secret.run(die_before=4)
    assert secret.ledger.phase in ("making", "staged")
    dropped = secret.run(take_back=True)
    assert (dropped["phase"], dropped["last"]["outcome"], texts(secret)) == ("idle", "dropped", first)
    assert len(secret.kept) == 1


def test_after_a_compromise_no_date_is_waited_for(secret: Secret, consumer: App) -> None:
    first = texts(secret)[0]
    with failing("invalid_parameter"):
        secret.run(break_first=True)
    assert secret.run(reason="compromise", check=True)["irreversible"] == []
    told = secret.run(reason="compromise", break_first=True)["irreversible"]
    assert [each.partition(":")[2] for each in told] == [" users are signed out"]
    assert texts(secret)[1] == "", "the earlier value is withdrawn with the same change"
    consumer.start()
    over = secret.run(reason="compromise")
    assert (over["phase"], over["last"]["outcome"], len(secret.kept)) == ("idle", "rotated", 1)
    assert texts(secret)[0] != first
    assert not secret.run(reason="compromise")["changed"], "a command given twice rotates once"


@pytest.mark.parametrize("phase", ["retiring", "watching"])
def test_after_a_compromise_break_first_asks_nobody(secret: Secret, consumer: App, phase: str) -> None:
    """What has leaked is replaced in the same run, although a consumer has not let go of the value before it."""
    if phase == "watching":
        watching(secret, consumer)
        consumer.values = ("neither of them",)
    else:
        secret.days = 91
        secret.run()
        consumer.start()
        secret.run()
        secret.days += 8
    leaked = texts(secret)[0]
    still = secret.run(reason="compromise")
    assert (still["phase"], still["waits_for"]["what"]) == (phase, "use")
    asked = {"reason": "compromise", "break_first": True}
    told = secret.run(check=True, **asked)
    said = secret.run(**asked)
    assert (said["steps"], said["phase"]) == (told["steps"], "verifying")
    assert (said["last"]["outcome"], said["waits_for"]["what"]) == ("rotated", "use")
    current, previous = texts(secret)
    assert (current != leaked, previous) == (True, "")
    assert not secret.run(**asked)["changed"], "a command given twice rotates once"
    consumer.start()
    assert secret.run(**asked)["phase"] == "idle"
    assert texts(secret)[0] == current


def test_requests_are_fulfilled_once(secret: Secret, consumer: App) -> None:
    assert not secret.run(reason="requested")["changed"], "younger than min_age"
    secret.days = 1
    secret.run(reason="requested", rotation_id="ticket-7")
    consumer.start()
    secret.run()
    for days in (9, 9, 11):
        secret.days = days
        secret.run()
        consumer.start()
    assert secret.run()["last"]["id"] == "ticket-7"
    assert not secret.run(reason="requested", rotation_id="ticket-7")["changed"]


def test_what_is_not_as_it_was_written_is_written_again(secret: Secret) -> None:
    current, _previous = places(Path(secret.store.removeprefix("file://")).parent)
    value = texts(secret)[0]
    current.write_text("somebody else's", encoding="utf-8")
    repaired = secret.run()
    assert (repaired["steps"], texts(secret)[0]) == (["write current (file)"], value)
    current.chmod(0o644)
    assert secret.run()["changed"]
    assert current.stat().st_mode & 0o777 == 0o600
    assert not secret.run()["changed"]


def test_a_value_that_was_there_is_taken_on_record(tmp_path: Path, consumer: App) -> None:
    current, previous = places(tmp_path)
    current.write_text("a-value-that-somebody-has-made", encoding="utf-8")
    secret = Secret(store=f"file://{tmp_path}/store", destinations=declared(tmp_path), consumers=[consumer.as_consumer])
    consumer.start(current, previous)
    with failing("rotation_refused") as refused:
        secret.run()
    assert "adopt=true" in refused().message
    told = secret.run(adopt=True, check=True)
    adopted = secret.run(adopt=True)
    assert (adopted["steps"], len(adopted["steps"])) == (told["steps"], 1)
    assert (adopted["phase"], adopted["last"]["outcome"]) == ("idle", "adopted")
    assert texts(secret) == ["a-value-that-somebody-has-made", ""]
    assert not secret.run(adopt=True)["changed"]
    secret.days = 91
    assert secret.run()["phase"] == "verifying"
    assert texts(secret)[1] == "a-value-that-somebody-has-made"


def test_users_are_not_signed_out_by_themselves(tmp_path: Path) -> None:
    """Where no destination keeps the earlier value somebody has to agree."""
    secret = Secret(store=f"file://{tmp_path}/store", destinations=declared(tmp_path)[:1])
    assert secret.run()["phase"] == "idle", "the first value ends nothing"
    secret.days = 91
    with failing("rotation_refused") as refused:
        secret.run(check=True)
    assert "sign_out_users" in refused().message
    told = secret.run(sign_out_users=True)
    assert (told["phase"], told["proof"]) == ("grace", "none")


@pytest.mark.parametrize("phase", ["grace", "retiring"])
def test_a_ledger_of_an_earlier_release_is_gone_on_with(secret: Secret, consumer: App, phase: str) -> None:
    """One that has none of what was added since."""
    secret.days = 91
    secret.run()
    consumer.start()
    secret.run()
    secret.days += 8 if phase == "retiring" else 0
    assert secret.run()["phase"] == phase
    newest = max(Path(secret.store.removeprefix("file://")).glob("test/secrets/auth_secret/ledger/*.json"))
    body = json.loads(newest.read_text(encoding="utf-8"))
    assert body["schema"] == 2
    body["schema"] = 1
    del body["withdrawn_at"]
    for written in body["written"]:
        for added in ("doubtful", "parts", "upon"):
            del written[added]
    newest.write_text(json.dumps(body), encoding="utf-8")
    assert secret.run()["phase"] == phase
    for _run in range(3):
        consumer.start()
        secret.run()
        secret.days += 9
    assert secret.run()["last"]["outcome"] == "rotated"


def test_nothing_in_the_store_gives_a_value_away(secret: Secret) -> None:
    store = Path(secret.store.removeprefix("file://"))
    everything = "".join(path.read_text(encoding="utf-8") for path in store.rglob("*") if path.is_file())
    assert texts(secret)[0] not in everything
    with failing("secret_unreadable"):
        secret.days = 91
        secret.run(secrets_key="another-key-that-is-long-enough-0123")
        secret.run(secrets_key="another-key-that-is-long-enough-0123")
    secret.run()
