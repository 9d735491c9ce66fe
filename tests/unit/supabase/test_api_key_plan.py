# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done about an API key of Supabase, from what the project has and what is in the file."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.api_key_plan import (
    KeyPlan,
    Rules,
    SeenKeys,
    plan_key,
)
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.api_keys import ApiKey

from harness.stores import failing

VALUE = "sb_secret_0123456789abcdefghijklmnopqrstu"
OTHER = "sb_secret_zyxwvutsrqponmlkjihgfedcba98765"
KEY = ApiKey(id="k1", name="worker", type="secret", created_at="2026-01-01T00:00:00Z", value=VALUE)
FILE = "/etc/acme/key"
NAMED = Rules(name="worker", type="secret")
KEPT = replace(NAMED, file=FILE)


def planned(rules: Rules, *keys: ApiKey, held: tuple[str, int] | None = None) -> KeyPlan:
    return plan_key(rules, SeenKeys(project="p" * 20, keys=keys, held=held))


@pytest.mark.parametrize(
    ("rules", "keys", "held", "actions"),
    [
        (NAMED, (), None, ("create",)),
        (NAMED, (KEY,), None, ()),
        (NAMED, (replace(KEY, type="publishable"),), None, ("create",)),
        (KEPT, (), None, ("create", "write")),
        (KEPT, (KEY,), None, ("write",)),
        (KEPT, (KEY,), (VALUE, 0o600), ()),
        (KEPT, (KEY,), (VALUE, 0o644), ("write",)),
        (KEPT, (KEY,), (f"{VALUE}\n", 0o600), ("write",)),
        (KEPT, (KEY,), (OTHER, 0o600), ("write",)),
        (KEPT, (), (VALUE, 0o600), ("create", "write")),
        (replace(NAMED, present=False), (KEY,), None, ("delete",)),
        (replace(NAMED, present=False), (), None, ()),
    ],
)
def test_what_is_done(
    rules: Rules, keys: tuple[ApiKey, ...], held: tuple[str, int] | None, actions: tuple[str, ...]
) -> None:
    plan = planned(rules, *keys, held=held)
    assert (plan.actions, plan.changed, len(plan.steps)) == (actions, bool(actions), len(actions))
    assert (plan.before == plan.after) == (not actions)
    assert VALUE not in str((plan.result, plan.before, plan.after, plan.steps))


def test_what_cannot_be_taken_back() -> None:
    """A key that is deleted, and one in the file that Supabase does not have; not one that can be read there again."""
    assert planned(KEPT, held=(OTHER, 0o600)).irreversible
    assert not planned(KEPT, replace(KEY, name="older", value=OTHER), held=(OTHER, 0o600)).irreversible
    assert planned(replace(NAMED, present=False), KEY).irreversible


def test_what_is_refused() -> None:
    """What is in the file and is no key; the key that Edge Functions look for; a name that says nothing."""
    for text in ("postgresql://u:p@h/d", "sb_secret_short", f"{VALUE} and more"):
        with failing("destination_unusable"):
            planned(KEPT, KEY, held=(text, 0o600))
    assert planned(KEPT, KEY, held=(" \n", 0o600)).actions == ("write",)
    default = replace(KEY, name="default")
    gone = Rules(name="default", type="secret", present=False)
    with failing("api_key_protected"):
        planned(gone, default)
    assert planned(replace(gone, even_default=True), default).actions == ("delete",)
    assert planned(replace(gone, type="publishable"), replace(default, type="publishable")).actions == ("delete",)
    with failing("service_failed"):
        planned(NAMED, KEY, replace(KEY, id="k2"))
    for name in ("abc", "Worker", "1worker", "a" * 65):
        with failing("invalid_parameter"):
            replace(NAMED, name=name).check()
