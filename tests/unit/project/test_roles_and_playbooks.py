# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles say what they take; playbooks are found by ansible and by AWX."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ops.runbooks.plugins.module_utils._core.inputs import nearest

from harness.paths import CHECKOUT, PLAYBOOKS, ROLES
from harness.runbook_pages import Runbook, runbooks

#: AWX lists a file as a playbook only where a line matches this (awx/main/utils/ansible.py), or it is vault-encrypted.
AWX_LISTS = re.compile(r"^\s*?-?\s*?(?:ansible\.builtin\.)?(?:hosts|include|import_playbook):\s*?.*?$")

each_role = pytest.mark.parametrize(
    "role", sorted(path for path in ROLES.glob("*") if path.is_dir()), ids=lambda p: p.name
)
each_playbook = pytest.mark.parametrize("playbook", sorted(PLAYBOOKS.glob("*.yml")), ids=lambda p: p.stem)


def load(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader) if path.exists() else {}


class _Loader(yaml.CSafeLoader):
    """Reads ``!unsafe`` and ``!vault`` as the text after them."""


for _tag in ("!unsafe", "!vault"):
    _Loader.add_constructor(_tag, lambda loader, node: loader.construct_scalar(node))


@each_role
def test_argument_specs_are_the_defaults(role: Path) -> None:
    """Each default is in the specs with the same value, and each specified default is a default."""
    defaults = load(role / "defaults" / "main.yml") or {}
    specs = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    options: dict[str, Any] = {}
    for entry in specs.values():
        options.update(entry.get("options") or {})
    assert set(defaults) <= set(options), "a default that no spec declares"
    specified = {name: option["default"] for name, option in options.items() if "default" in option}
    assert specified == defaults


@each_role
def test_every_entry_point_is_specified(role: Path) -> None:
    specs = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    assert set(specs) <= {path.stem for path in (role / "tasks").glob("*.yml")}
    assert "main" in specs
    for name, entry in specs.items():
        assert entry.get("short_description"), f"{role.name}:{name}"
        for option in (entry.get("options") or {}).values():
            assert option.get("description")
            assert option.get("type")


@each_role
def test_options_carry_the_roles_name(role: Path) -> None:
    specs = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    names = {name for entry in specs.values() for name in (entry.get("options") or {})}
    # The role that describes the environment also reads what the inventory says of each host.
    prefixes = (f"{role.name}_", *(("database_", "app_") if role.name == "runbooks" else ()))
    # An app is described by where it is deployed too.
    prefixes += ("vercel_",) if role.name == "app" else ()
    # Where the migrations of a database are is not the runbook's alone to know.
    prefixes += ("migrations_",) if role.name == "migrate" else ()
    assert not [name for name in names if not name.startswith(prefixes)]


@each_role
def test_a_role_says_what_it_is(role: Path) -> None:
    """Galaxy shows both."""
    assert (role / "README.md").read_text(encoding="utf-8").startswith("# ")
    assert load(role / "meta" / "main.yml")["galaxy_info"]["description"]


@each_playbook
def test_a_playbook_begins_with_hosts(playbook: Path) -> None:
    for play in load(playbook):
        assert "hosts" in play or "ansible.builtin.import_playbook" in play
        assert play.get("name", "").strip()


@each_playbook
def test_a_runbook_begins_with_the_guard(playbook: Path) -> None:
    """All with the same one, which no tag leaves out: ``--skip-tags=always`` is red before any task."""
    guard, model = load(playbook)[0], load(PLAYBOOKS / "backup.yml")[0]
    assert "'always' in ansible_skip_tags" in guard["hosts"] or "'always' not in ansible_skip_tags" in guard["hosts"]
    if playbook.stem == "init":
        return  # it works on this machine alone, and has no inventory to guard
    said = guard["tasks"][0].pop("vars")
    assert set(said) == set(model["tasks"][0].pop("vars"))
    assert said["guard_group"] in ("databases", "apps", "databases or apps")
    assert said["guard_runbook"] == playbook.stem
    for each in (guard, model):
        each["name"] = re.sub(r"^1/\d+ ", "", each["name"])
    assert guard == model


@each_playbook
def test_the_guard_knows_what_a_runbook_takes(playbook: Path) -> None:
    """Every input of the header, and words as the role has them. No other runbook's inputs are near to them."""
    runbook = Runbook(playbook)
    if playbook.stem == "init":
        return
    takes = runbook.plays[0]["tasks"][0]["vars"]["guard_inputs"]
    inputs = runbook.fields["Inputs"] or {}
    assert set(inputs) <= set(takes)
    others = {name for each in runbooks() for name in each.fields["Inputs"] or {}} - set(takes)
    assert not {name: meant for name in others if (meant := nearest(name, takes))}, (
        "one may be given to a job of several"
    )
    specs = load(ROLES / playbook.stem / "meta" / "argument_specs.yml")["argument_specs"]
    options = specs["main"].get("options") or {}
    assert set(takes) - set(inputs) <= set(options), "those that the inventory may set too"
    for name, words in takes.items():
        spec = options.get(name if name in options else f"{playbook.stem}_{name}", {})
        assert (words == "switch") == (spec.get("type") == "bool"), name
        assert [word for word in spec.get("choices", []) if word] == (words if isinstance(words, list) else []), name


@each_playbook
def test_awx_lists_the_playbook(playbook: Path) -> None:
    assert any(AWX_LISTS.match(line) for line in playbook.read_text(encoding="utf-8").splitlines())


@each_playbook
def test_a_playbook_needs_nothing_that_does_not_ship(playbook: Path) -> None:
    text = playbook.read_text(encoding="utf-8")
    assert not re.search(r"\b(inventories|sandbox|tests|bench)/", re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE))


@each_playbook
def test_a_playbook_is_named_in_the_readme(playbook: Path) -> None:
    assert f"ops.runbooks.{playbook.stem}" in (CHECKOUT / "README.md").read_text(encoding="utf-8")


def test_names_are_full_and_errors_are_not_ignored() -> None:
    short = re.compile(r"^\s*(name|role): (backup|guard|notify|record|restore|runbooks)\s*$", re.MULTILINE)
    texts = {
        path: path.read_text(encoding="utf-8") for top in (ROLES, PLAYBOOKS) for path in sorted(top.rglob("*.yml"))
    }
    assert not [path for path, text in texts.items() if "ignore_errors" in text or "ignore_unreachable" in text]
    assert not [path for path, text in texts.items() if short.search(text)]
    words = "modules put sizes into words, all in the same way"
    assert not [path for path, text in texts.items() if "human_readable" in text], words
