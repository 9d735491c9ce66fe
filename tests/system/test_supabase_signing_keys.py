# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signing keys of a Supabase project: nobody is signed out as long as Supabase's time rules are kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.client import Supabase
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.signing_keys import SigningKeys

from harness.stores import WrongClock, failing, run_context
from harness.supabase_api import granted
from sandbox.supabase import SupabaseServer

MINUTES = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupabaseServer]:
    with SupabaseServer(tmp_path_factory.mktemp("supabase")) as started:
        yield started


@pytest.fixture
def ref(server: SupabaseServer) -> Iterator[str]:
    yield server.make_project()
    server.faults()
    server.set_clock()


@pytest.fixture
def keys(server: SupabaseServer, ref: str) -> Iterator[SigningKeys]:
    context = run_context(clock=WrongClock())
    params = {**server.args(ref), "token": granted(server, "supabase_signing_key")}
    supabase = Supabase(params, context, os.environ, patience=5)
    yield SigningKeys(supabase, context)
    supabase.close()


def test_from_standby_to_deleted(server: SupabaseServer, ref: str, keys: SigningKeys) -> None:
    """Each step twice, with the token of a user, and an API that trusts what is published."""
    first, token = keys.in_use(), server.sign_in(ref)
    assert server.verifies(ref, token)
    new = keys.standby("ES256")
    assert keys.standby("ES256") == new, "there is one only, and it is taken"
    with failing("signing_key_refused") as failed:
        keys.bring_in_use(new.id)
    assert "not published yet" in failed().message, "an API would refuse what it signs"
    server.set_clock(ahead=11 * MINUTES)
    keys.bring_in_use(new.id)
    keys.bring_in_use(new.id)
    assert (keys.in_use().id, server.accepts(ref, token), server.accepts(ref, server.sign_in(ref))) == (
        new.id,
        True,
        True,
    )
    assert server.verifies(ref, server.sign_in(ref))
    with failing("signing_key_refused") as failed:
        keys.revoke(first.id)
    assert "Please wait until" in failed().message
    with failing("signing_key_refused"):
        keys.revoke(new.id)
    used = keys.one(first.id)
    assert used is not None
    assert keys.good_until(used) - used.changed_at == timedelta(minutes=75)
    with failing("signing_key_refused"):
        keys.delete(first.id)
    server.set_clock(ahead=90 * MINUTES)
    keys.revoke(first.id)
    keys.revoke(first.id)
    assert not server.accepts(ref, token)
    keys.delete(first.id)
    keys.delete(first.id)
    assert [each.id for each in keys.list()] == [new.id]


def test_back_to_one_that_is_revoked(server: SupabaseServer, ref: str, keys: SigningKeys) -> None:
    """By way of standby, which takes two moves and Supabase's five minutes between them."""
    first, new = keys.in_use(), keys.standby("ES256")
    for minutes, step in ((11, lambda: keys.bring_in_use(new.id)), (90, lambda: keys.revoke(first.id))):
        server.set_clock(ahead=minutes * MINUTES)
        step()
    server.set_clock(ahead=100 * MINUTES)
    with failing("signing_key_refused"):
        keys.bring_in_use(first.id)
    waits = keys.standing_by()
    assert waits is not None
    assert waits.id == first.id
    server.set_clock(ahead=111 * MINUTES, limit=1000)
    keys.bring_in_use(first.id)
    assert (keys.in_use().id, keys.standing_by()) == (first.id, None)
    server.set_clock(ahead=222 * MINUTES, limit=1000)
    other = keys.standby("ES256")
    with failing("signing_key_refused") as failed:
        keys.bring_in_use(new.id)
    assert f"standby, where {other.id} is since" in failed().message


@pytest.mark.parametrize("lost", [{"drop": True, "after": True}, {"status": 500, "after": True}])
def test_an_answer_that_is_lost(
    server: SupabaseServer, ref: str, keys: SigningKeys, lost: dict[str, int | bool]
) -> None:
    for method in ("POST", "PATCH", "DELETE"):
        server.faults({"method": method, "path": "/signing-keys", "times": 1, **lost})
        first, new = keys.in_use(), keys.standby("ES256")
        server.set_clock(ahead=server.ahead + 11 * MINUTES)
        keys.bring_in_use(new.id)
        server.set_clock(ahead=server.ahead + 80 * MINUTES)
        keys.revoke(first.id)
        keys.delete(first.id)
        assert [each.status for each in keys.list()] == ["in_use"]


def test_what_a_project_does_not_do(server: SupabaseServer, ref: str, keys: SigningKeys) -> None:
    server.set_clock(limit=1000)
    keys.standby("ES256")
    with failing("signing_key_refused") as failed:
        keys.standby("HS256")
    assert "one key in standby only" in failed().message
    assert keys.legacy() == ""
    server.change("projects", ref, signing_keys={})
    with failing("signing_key_refused") as failed:
        keys.list()
    assert "Migrate JWT secret" in failed().message
