# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys of any service by requests that are declared: killed around each, lost answers, and what is refused."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

from harness.key_service import ADMIN, KeyService, declared, filled, key_service
from harness.modules import ModuleRunner
from harness.rotations import KEY, Killed, Secret, file_destination, to_the_end
from harness.stores import failing

NAME = "acme-web"


@pytest.fixture
def service() -> Iterator[KeyService]:
    with key_service() as started:
        yield started


@pytest.fixture
def secret(service: KeyService, tmp_path: Path) -> Secret:
    """Its first key is in use; another one at the service is somebody's, and one is that of a secret like it."""
    service.put("made by hand")
    service.put(f"{NAME}-2.first")
    place = file_destination(tmp_path / "key")
    made = Secret(store=f"file://{tmp_path}/store", destinations=[place], provider=filled(declared(service, NAME)))
    assert made.run()["phase"] == "idle"
    return made


def only_one(service: KeyService, secret: Secret) -> str:
    """One key of ours, enabled and in its place, beside those of others."""
    text = Path(secret.destinations[0]["path"]).read_text(encoding="utf-8")
    ours = [each for each in service.keys.values() if each.name.startswith(f"{NAME}.")]
    assert [(each.value, each.enabled) for each in ours] == [(text, True)]
    assert len(service.keys) == 3
    assert (secret.ledger.phase, len(secret.kept)) == ("idle", 1)
    return text


def test_killed_before_each_effect(service: KeyService, secret: Secret) -> None:
    """And so after each: a key that nobody has got is found by its name and goes; no value is ever in an address."""
    values = {only_one(service, secret)}
    for point in range(200):
        secret.days, secret.effects = secret.days + 91, []
        killed = to_the_end(secret, point)
        assert only_one(service, secret) not in values
        values.add(only_one(service, secret))
        if not killed:
            break
    assert point > 20
    assert not [line for line in service.log for value in values if value in line]
    assert ADMIN not in str(service.log)


@pytest.mark.parametrize("lost", ["POST /v1/keys$", "disable", "DELETE"])
def test_an_answer_that_is_lost(service: KeyService, secret: Secret, lost: str) -> None:
    first = only_one(service, secret)
    secret.days, service.lost = 91, [lost]
    with failing("service_unreachable"):
        to_the_end(secret)
    to_the_end(secret)
    assert only_one(service, secret) != first


def test_a_value_that_is_not_known_yet(service: KeyService, secret: Secret) -> None:
    """It is asked for as long as is allowed; what is not taken by then nobody is given."""
    first = only_one(service, secret)
    secret.days, service.early = 91, 2
    assert secret.run()["phase"] == "grace"
    to_the_end(secret)
    assert only_one(service, secret) != first
    secret.days, service.early = secret.days + 91, 99
    secret.provider["timeout"] = "1s"
    with failing("secret_refused") as refused:
        secret.run()
    assert "answered 401" in refused().message
    assert secret.ledger.phase == "staged"
    service.early = 0
    to_the_end(secret)
    only_one(service, secret)


def test_the_way_back(service: KeyService, secret: Secret) -> None:
    first = only_one(service, secret)
    secret.days = 91
    secret.run()
    secret.days += 8
    assert secret.run()["phase"] == "watching"
    assert [each.enabled for each in service.keys.values() if each.value == first] == [False]
    assert secret.run(take_back=True)["last"]["outcome"] == "taken back"
    assert only_one(service, secret) == first


@pytest.mark.parametrize("disables", [True, False])
def test_a_stolen_key_is_ended_first_where_it_can_be(service: KeyService, secret: Secret, disables: bool) -> None:
    """Before the new one is written anywhere; where it could only be deleted for good, the plan says so."""
    first, asked = only_one(service, secret), {"reason": "compromise", "break_first": True, "min_age": "0s"}
    secret.provider = copy.deepcopy(secret.provider)
    if not disables:
        secret.provider["requests"] |= {"disable": None, "enable": None}
    told = secret.run(check=True, **asked)["steps"]
    assert ("disable the earlier value at once" in str(told)) is disables
    assert (
        "auth_secret stays good as it was until the new value is in use, since its service" in str(told)
    ) is not disables
    secret.effects = []
    assert secret.run(**asked)["last"]["outcome"] == "rotated"
    writes = next(number for number, each in enumerate(secret.effects) if each.startswith("write a destination"))
    ends = next(
        number for number, each in enumerate(secret.effects) if "send the request di" in each or "delete to" in each
    )
    assert (ends < writes) is disables
    assert only_one(service, secret) != first


def test_a_key_that_somebody_has_deleted_is_out_of_use(service: KeyService, secret: Secret) -> None:
    """Right after a leak, say: the rotation goes on to its end."""
    first = only_one(service, secret)
    secret.days = 91
    assert secret.run()["phase"] == "grace"
    service.keys = {id: key for id, key in service.keys.items() if key.value != first}
    to_the_end(secret)
    assert only_one(service, secret) != first


def test_an_answer_that_would_give_the_value_away(service: KeyService, secret: Secret) -> None:
    """What it calls an id is written down and shown; so it may neither be the value nor have it in it."""
    only_one(service, secret)
    secret.days = 91
    for spoilt, said in (
        ({"key": {"id": "kanarienvogel", "secret": "kanarienvogel"}}, "no id"),
        ({"key": {"id": "key kanarienvogel", "secret": "kanarienvogel"}}, "no id"),
        ({"key": {"id": "key-1"}}, "no text at key.secret"),
    ):
        service.spoilt = spoilt
        with failing("service_failed") as refused:
            secret.run()
        assert said in refused().message
        assert "The next run removes it." in refused().message
        assert "kanarienvogel" not in refused().message
    to_the_end(secret)
    only_one(service, secret)


def test_without_a_list_an_orphan_is_told_of(service: KeyService, secret: Secret) -> None:
    """Nobody can find what a killed run has made, and so it is said, with the name to look for."""
    secret.provider = copy.deepcopy(secret.provider)
    del secret.provider["requests"]["list"]
    secret.days, secret.effects = 91, []
    assert secret.run(check=True)["changed"]
    with pytest.raises(Killed):
        secret.run(die_before=4)
    assert len(service.keys) == 4
    said = secret.run()
    assert said["phase"] == "grace"
    (warning,) = said["warnings"]
    assert f"begins with {NAME}." in warning
    assert len([each for each in service.keys.values() if each.name.startswith(f"{NAME}.")]) == 3


def test_an_orphan_from_before_is_named_and_stays(service: KeyService, secret: Secret) -> None:
    """Such as one that the service has made long after its answer was given up."""
    orphan = service.put(f"{NAME}.due-1.9")
    secret.days = 91
    (warning,) = secret.run()["warnings"]
    assert orphan.name in warning
    del service.keys[orphan.id]
    to_the_end(secret)
    only_one(service, secret)


def test_a_list_that_is_not_whole_is_no_list(service: KeyService, secret: Secret) -> None:
    secret.provider["requests"]["list"]["more"] = "data.0.id"
    secret.days = 91
    with failing("service_failed") as refused:
        secret.run()
    assert "one page of several" in refused().message
    secret.provider["requests"]["list"].update(more=None, id="label")
    secret.provider["timeout"] = "1s"
    with failing("secret_refused") as refused:
        secret.run()
    assert "requests.list has no key-" in refused().message
    secret.provider["requests"]["list"]["id"] = "id"
    to_the_end(secret)
    only_one(service, secret)
    secret.days = 182
    secret.provider["requests"]["list"].update(more=None, items="nowhere")
    with failing("service_failed"):
        secret.run()
    secret.provider["secret_headers"] = {"Authorization": "Bearer nobody"}
    with failing("service_denied"):
        secret.run()


def test_by_the_module(service: KeyService, tmp_path: Path, run_module: ModuleRunner) -> None:
    """No value is shown, and what cannot be rotated safely is refused before anything is sent."""
    args = {"store": f"file://{tmp_path}/store", "environment": "test", "name": "key", "secrets_key": KEY}
    provider = declared(service, NAME)
    place = {"name": "here", "type": "file", "path": str(tmp_path / "key")}
    given = {**args, "provider": provider, "destinations": [place]}
    said = run_module("secret_rotation", given, verbosity=3, diff=True).ok()
    (key,) = service.keys.values()
    assert (tmp_path / "key").read_text(encoding="utf-8") == key.value
    for each in (key.value, ADMIN, KEY):
        assert each not in said.everything
    assert not run_module("secret_rotation", given).ok().changed
    asked = len(service.log)

    def with_requests(**changes: Any) -> dict[str, Any]:
        found = {name: each for name, each in {**provider["requests"], **changes}.items() if each is not None}
        return {**provider, "requests": found}

    one, requests = {"method": "POST", "path": "/v1/x"}, provider["requests"]
    for wrong in (
        {**provider, "url": "http://192.0.2.1"},
        {**provider, "url": "https://user:kanarienvogel@keys.example.com"},
        {**provider, "key_name": "acme.web"},
        {**provider, "requests": None},
        with_requests(test=None),
        with_requests(delete=None, disable=None, enable=None),
        with_requests(enable=None),
        with_requests(list=None, delete={**requests["delete"], "gone": []}),
        with_requests(test={"method": "GET", "path": "/v1/me?token={value}"}),
        with_requests(delete={**one, "path": "/v1/keys/{value}"}),
        with_requests(delete={**one, "path": "/v1/../keys/{id}"}),
        with_requests(delete={**one, "path": "//elsewhere.example.com/{id}"}),
        with_requests(delete={**one, "path": "@elsewhere.example.com"}),
        with_requests(delete={**one, "body": {"token": "{value}"}}),
        with_requests(create={**requests["create"], "body": {"id": "{id}"}}),
        with_requests(create={**requests["create"], "body": {"name": "x"}}),
        with_requests(create={**requests["create"], "parts": {"value": "key.id"}}),
        with_requests(create={**requests["create"], "parts": {}}),
        with_requests(create={**requests["create"], "parts": {"name": "key.secret"}}),
    ):
        refused = run_module("secret_rotation", {**given, "name": "wrong", "provider": wrong})
        assert refused.refused("invalid_parameter").failed, wrong
        assert "kanarienvogel" not in refused.everything
    assert len(service.log) == asked


def test_a_key_from_before_is_adopted(service: KeyService, tmp_path: Path) -> None:
    key = service.put("made by hand")
    (tmp_path / "key").write_text(key.value, encoding="utf-8")
    place = file_destination(tmp_path / "key")
    secret = Secret(store=f"file://{tmp_path}/store", destinations=[place], provider=filled(declared(service, NAME)))
    with pytest.raises(RunbookError) as refused:
        secret.run(adopt=True, current_value=key.value)
    assert "JSON object with id, value" in refused.value.message
    text = f'{{"id": "{key.id}", "value": "{key.value}"}}'
    with failing("invalid_parameter") as mistaken:
        secret.run(adopt=True, current_value=text.replace(key.id, "key-of-nobody"))
    assert "requests.list has no key-of-nobody" in mistaken().message
    assert secret.run(adopt=True, current_value=text)["steps"][0].startswith("take the value")
    secret.days = 91
    to_the_end(secret)
    assert key.id not in service.keys
    assert len(service.keys) == 1
