# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A credential that a run works with is not rotated by it, however it is known to be that."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Declaration, Target
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import Ledger, Value
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.own import own_credentials, refuse_own
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys

from harness.rotations import Secret, file_destination
from harness.stores import failing

MASTER = "kept-for-the-tests-alone-0123456789"
KEYS = Keys.read(MASTER)
NOW = datetime(2026, 11, 29, tzinfo=UTC)


def refuse(
    params: dict[str, Any] | None = None,
    environ: dict[str, str] | None = None,
    *,
    options: dict[str, Any] | None = None,
    logins: tuple[str, ...] = (),
    current: tuple[str, str] = ("id-1", "value-1"),
    provider: str = "generated",
) -> None:
    """For a secret whose current value has this id and this text."""
    target = Target(name="here", kind="vercel_env", options={"token": "written-with-this"})
    declaration = Declaration(name="x", provider=provider, options=options or {}, targets=(target,))
    value = Value(id=current[0], fingerprint=KEYS.fingerprint(current[1]), slot="s", since=NOW)
    owns = own_credentials(params or {}, declaration, environ or {}, logins)
    refuse_own(declaration, Ledger(current=value), owns, KEYS)


@pytest.mark.parametrize(
    ("params", "environ", "current"),
    [
        ({"secrets_key": MASTER}, {}, ("a", MASTER)),
        ({}, {"RUNBOOKS_SECRETS_KEY": MASTER}, ("a", MASTER)),
        ({"access_key": "AKIA1"}, {}, ("AKIA1", "b")),
        ({"secret_key": "abc"}, {}, ("a", "abc")),
        ({}, {"AWS_ACCESS_KEY_ID": "AKIA2"}, ("AKIA2", "b")),
        ({}, {"AWS_SECRET_ACCESS_KEY": "abc"}, ("a", "abc")),
        ({}, {"VERCEL_TOKEN": "vcp"}, ("a", "vcp")),
        ({}, {"GITHUB_TOKEN": "ghp"}, ("a", "ghp")),
        ({}, {}, ("a", "written-with-this")),
        ({}, {"DIRECT_URL": "postgresql://app_b:p%40ss@db/x"}, ("app_b", "b")),
        ({}, {"DIRECT_URL": "postgresql://app_b.acmetenant:p@pooler/x"}, ("app_b", "b")),
        ({}, {"RUNBOOKS_DATABASE_URL": "postgresql://ops:p%40ss@db/x"}, ("a", "p@ss")),
    ],
)
def test_what_a_run_works_with_is_known(
    params: dict[str, Any], environ: dict[str, str], current: tuple[str, str]
) -> None:
    with failing("rotation_refused"):
        refuse(params, environ, current=current)
    refuse(params, environ)


def test_a_login_that_takes_turns_is_known_before_its_first() -> None:
    pair: dict[str, Any] = {"group": "app", "roles": None, "old_role": "shop"}
    works: dict[str, Any] = {**pair, "database_url": "postgresql://ops:x@db/x"}
    refuse(options=works, provider="postgres_role_pair", logins=("ops", ""))
    for login in ("app", "app_a", "app_b", "shop", "app_a.acmetenant"):
        with failing("rotation_refused"):
            refuse(options=works, provider="postgres_role_pair", logins=(login,))
    with failing("rotation_refused"):
        refuse(options={**pair, "database_url": "postgresql://app_b:x@db/x"}, provider="postgres_role_pair")


def test_a_login_that_works_elsewhere_is_refused_where_it_would_be_rotated(tmp_path: Path) -> None:
    """Not only where it is told of: before anything is connected to or written down."""
    provider: dict[str, Any] = {
        "type": "postgres_role_pair",
        "group": "app",
        "roles": None,
        "old_role": None,
        "database_url": None,
    }
    place = file_destination(tmp_path / "password", "{password}")
    secret = Secret(store=f"file://{tmp_path}/store", destinations=[place], provider=provider)
    for check in (True, False):
        with failing("rotation_refused") as refused:
            secret.run(own_logins=["app_a"], reason="requested", check=check)
        assert "the login app_a with which runbooks work on a database" in refused().message
    assert not (tmp_path / "store").exists()


def test_what_a_service_is_asked_with_is_not_rotated_by_it() -> None:
    """Of an http provider: the header as a whole, or the token in it."""
    asked: dict[str, Any] = {"secret_headers": {"Authorization": "Bearer of-the-admin", "X-Key": "whole one"}}
    for value in ("of-the-admin", "whole one"):
        with failing("rotation_refused") as refused:
            refuse(options=asked, provider="http", current=("key-1", value))
        assert "secret_headers" in refused().message
    refuse(options=asked, provider="http")


def test_what_only_the_app_reads_is_not_ours() -> None:
    """DATABASE_URL is the app's in many a shell, and a URL that is none says nothing."""
    refuse(environ={"DATABASE_URL": "postgresql://app_a:value-1@db/x", "DIRECT_URL": "http://[", "VERCEL_TOKEN": ""})
