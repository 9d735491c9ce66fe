# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A value that is in force is taken on record: it is the right one, and that run changes nothing outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.rotations import App, Secret, app, declared, file_destination
from harness.stores import failing

VALUE = "a-value-that-somebody-has-made"


@pytest.fixture(scope="module")
def consumer() -> Iterator[App]:
    with app() as made:
        yield made


@pytest.fixture
def secret(tmp_path: Path, consumer: App) -> Secret:
    """Not on record, in use by the consumer, and in the first of its destinations."""
    (tmp_path / "current").write_text(VALUE, encoding="utf-8")
    consumer.start(tmp_path / "current")
    places = [*declared(tmp_path), file_destination(tmp_path / "lacking")]
    return Secret(store=f"file://{tmp_path}/store", destinations=places, consumers=[consumer.as_consumer])


def test_the_run_that_adopts_writes_nowhere(tmp_path: Path, secret: Secret) -> None:
    """What is missing is written by the next run; check mode says the same."""
    told = secret.run(adopt=True, check=True)
    assert secret.kept == []
    done = secret.run(adopt=True, current_value=VALUE)
    assert (told["steps"], told["waits_for"]) == (done["steps"], done["waits_for"])
    assert (len(done["steps"]), done["last"]["outcome"]) == (1, "adopted")
    assert done["summary"] == "taken on record; nothing outside was changed"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "store"]
    assert done["waits_for"]["reason"] == "the value is on record; the next run writes lacking"
    assert secret.run(adopt=True)["steps"] == ["write lacking (file)"]
    assert (tmp_path / "lacking").read_text(encoding="utf-8") == VALUE
    assert not secret.run(adopt=True)["changed"]


@pytest.mark.parametrize("check", [False, True])
def test_a_value_that_is_not_the_one_in_force_is_not_taken(
    tmp_path: Path, secret: Secret, consumer: App, check: bool
) -> None:
    """By what the destination holds, and by what the consumer says where no destination can tell."""
    with failing("rotation_refused") as refused:
        secret.run(adopt=True, current_value="another-value", check=check)
    assert "the consumer app uses another value" in refused().message
    secret.consumers = []
    with failing("rotation_refused") as refused:
        secret.run(adopt=True, current_value="another-value", check=check)
    assert "current holds another text than {value} with that value" in refused().message
    assert secret.kept == []
    assert not list((tmp_path / "store").rglob("ledger/*"))


def test_a_value_is_asked_for_by_the_name_of_its_variable(tmp_path: Path, secret: Secret) -> None:
    (tmp_path / "current").unlink()
    with failing("rotation_refused") as refused:
        secret.run(adopt=True)
    assert "environment variable RUNBOOKS_CURRENT_VALUE" in refused().message


def test_what_nobody_can_prove_is_said(tmp_path: Path, secret: Secret) -> None:
    """Where the destination has more than the value in it, and nobody says what he uses."""
    secret.consumers = []
    secret.destinations = [file_destination(tmp_path / "current", "{value}{previous}")]
    done = secret.run(adopt=True, current_value=VALUE)
    assert done["destinations"][0]["unread"]
    assert [each for each in done["warnings"] if "Nobody could prove that the value given for auth_secret" in each]
    secret.days = 91
    assert not secret.run()["destinations"][0]["unread"]


def test_another_key_is_refused_at_once(secret: Secret) -> None:
    """Whatever is due; a ledger of before that does not know its key is read."""
    secret.run(adopt=True)
    folder = Path(secret.store.removeprefix("file://")) / "test/secrets/auth_secret/ledger"
    (newest,) = [max(folder.glob("*.json"))]
    other = "another-one-than-before-0123456789"
    with failing("secret_unreadable") as refused:
        secret.run(secrets_key=other)
    assert "RUNBOOKS_SECRETS_KEY (secrets_key) is another key" in refused().message
    text = newest.read_text(encoding="utf-8")
    start = text.index('"key": "') + len('"key": "')
    assert text[start : start + 16] not in (other, "")
    newest.write_text(text[:start] + text[start + 16 :], encoding="utf-8")
    assert secret.ledger.key == ""
    assert secret.run()["phase"] == "idle"
