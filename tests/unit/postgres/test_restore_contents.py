# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of an archive is restored, with which owners, and which roles that takes."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Head, read_head, rewrite_head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive_roles import OWNED, roles_named
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import (
    Grant,
    Ownership,
    adapt,
    database_grants,
    needed_roles,
    owners,
    tablespaces,
)

from harness.manifests import make_database_fact

ARCHIVES = sorted((Path(__file__).parent / "archives").glob("*.dump"))
NAMED = {"s_owner", "s_reader", "s_other", "s Odd; role", "s_super", "postgres"}
MISSING = {"s_owner", "s_other"}
KEEP = Ownership()


def head_of(path: Path) -> Head:
    return read_head(io.BytesIO(path.read_bytes()), "object")


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.stem)
def head(request: pytest.FixtureRequest) -> Head:
    return head_of(request.param)


def test_needed_roles_follow_the_options(head: Head) -> None:
    database = make_database_fact(owner="d_owner", privileges=("d_reader=c/d_owner", "=Tc/d_owner"))
    assert needed_roles(head, database, KEEP) == NAMED | {"d_owner", "d_reader"}
    assert needed_roles(head, database, Ownership(owner="app")) == (NAMED - {"s_super", "postgres"}) | {
        "app",
        "d_reader",
    }
    assert needed_roles(head, database, Ownership(owner="app", privileges="skip")) == {
        "app",
        "s_reader",
        "s_other",
        "s Odd; role",
    }


def test_owners_are_those_that_objects_are_given_to(head: Head) -> None:
    database = make_database_fact(owner="d_owner")
    assert owners(head, database, KEEP) == {"s_owner", "s_other", "s Odd; role", "s_super", "postgres", "d_owner"}
    assert owners(head, database, Ownership(owner="app")) == {"app"}


def test_with_every_role_present_the_archive_is_taken_as_it_is(head: Head) -> None:
    adaptation = adapt(head, KEEP, set())
    assert (adaptation.changes, adaptation.left_out, adaptation.losses) == ({}, frozenset(), ())
    assert adaptation.listing(head) is None


def test_without_roles_the_rest_names_none_of_them(head: Head) -> None:
    adaptation = adapt(head, KEEP, MISSING)
    rewritten = read_head(io.BytesIO(rewrite_head(head, adaptation.changes)), "object")
    kept = [entry for entry in rewritten.entries if entry.dump_id not in adaptation.left_out]
    assert not roles_named(kept) & MISSING
    listing = adaptation.listing(head)
    assert listing is not None
    assert [int(line.rstrip(";")) for line in listing.split()] == [entry.dump_id for entry in kept]
    assert "owner s_owner of TABLE public.plain" in adaptation.losses
    assert adaptation.policies_left_out == {("public", "plain", "one")}


def test_every_object_gets_the_owner_that_is_asked_for(head: Head) -> None:
    adaptation = adapt(head, Ownership(owner="app"), set())
    rewritten = read_head(io.BytesIO(rewrite_head(head, adaptation.changes)), "object")
    assert {entry.owner for entry in rewritten.entries if entry.desc in OWNED} == {"app"}
    assert adaptation.losses == ()


def test_what_belongs_to_a_role_of_the_system_stays_with_it(head: Head) -> None:
    schema = next(entry for entry in head.entries if entry.desc == "SCHEMA")
    public = replace(head, entries=(replace(schema, owner="pg_database_owner"),))
    assert adapt(public, Ownership(owner="app"), set()).changes == {}


def test_skipped_privileges_are_one_loss_and_no_change(head: Head) -> None:
    adaptation = adapt(head, Ownership(privileges="skip"), set())
    assert adaptation.changes == {}
    assert adaptation.losses == ("all privileges, since privileges is skip",)


def test_subscriptions_never_come_along(head: Head) -> None:
    first, second = head.entries[4:6]
    with_subscription = replace(
        head,
        entries=(
            replace(first, desc="SUBSCRIPTION", tag="sub", defn="CREATE SUBSCRIPTION sub ...;"),
            replace(second, desc="COMMENT", tag="SUBSCRIPTION sub", defn="COMMENT ON SUBSCRIPTION sub IS 'x';"),
        ),
    )
    adaptation = adapt(with_subscription, KEEP, set())
    assert adaptation.left_out == {first.dump_id, second.dump_id}
    assert adaptation.losses == ("subscription sub, since a copy must not take part in replication",)


def test_tablespaces_are_found(head: Head) -> None:
    assert tablespaces(head) == frozenset()
    table = next(entry for entry in head.entries if entry.desc == "TABLE")
    assert tablespaces(replace(head, entries=(replace(table, tablespace="fast"),))) == {"fast"}


@pytest.mark.parametrize(
    ("items", "grants"),
    [
        (None, [Grant(grantee="", rights=("CONNECT", "TEMPORARY"), with_option=())]),
        ((), []),
        (
            ("=Tc/app", "app=CTc/app", '"O""dd = x"=c*T/app'),
            [
                Grant(grantee="", rights=("TEMPORARY", "CONNECT"), with_option=()),
                Grant(grantee="app", rights=("CREATE", "TEMPORARY", "CONNECT"), with_option=()),
                Grant(grantee='O"dd = x', rights=("CONNECT", "TEMPORARY"), with_option=("CONNECT",)),
            ],
        ),
    ],
)
def test_privileges_of_the_database(items: tuple[str, ...] | None, grants: list[Grant]) -> None:
    assert list(database_grants(make_database_fact(privileges=items))) == grants
