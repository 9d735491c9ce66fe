# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module promises to its users: documentation, attributes, return values, the action group."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.children import clean_environment
from harness.paths import CHECKOUT
from harness.source import module_names

#: Names of dictionary methods: ``result.items`` in a template would be the method (ansible-core 2.21 refuses them).
FORBIDDEN_KEYS = set(dir(dict)) | {"rc"}
SUPPORT = {"full", "partial", "none", "N/A"}

each_module = pytest.mark.parametrize("name", module_names())


@pytest.fixture(scope="session")
def documented(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Module name to what ``ansible-doc`` says of it, with its fragments merged in."""
    names = [f"ops.runbooks.{name}" for name in module_names()]
    argv = [sys.executable, "-m", "ansible", "doc", "--json", "-t", "module", *names]
    environment = clean_environment(tmp_path_factory.mktemp("home"))
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == "", "it has nothing to warn of"
    return {name.rsplit(".", 1)[-1]: page for name, page in json.loads(done.stdout).items()}


@pytest.mark.parametrize(
    ("group", "shared"),
    [("runbooks", {"store", "environment", "name", "access_key"}), ("vercel", {"project", "team", "token", "api_url"})],
)
def test_action_groups_are_the_modules_that_share_options(
    group: str, shared: set[str], documented: dict[str, dict[str, Any]]
) -> None:
    """Defaults of a group go to each of its modules, and a module refuses an option that it does not have."""
    runtime = yaml.safe_load((CHECKOUT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    having = sorted(name for name in module_names() if shared <= set(documented[name]["doc"]["options"]))
    assert runtime["action_groups"][group] == having
    for name in module_names():
        membership = documented[name]["doc"]["attributes"]["action_group"].get("membership", [])
        assert (f"ops.runbooks.{group}" in membership) == (name in having), name


@each_module
def test_attributes(name: str, documented: dict[str, dict[str, Any]]) -> None:
    attributes = documented[name]["doc"]["attributes"]
    for needed in ("check_mode", "diff_mode", "idempotent", "action_group"):
        assert needed in attributes, f"{name} does not document {needed}"
    for key in ("check_mode", "diff_mode", "idempotent"):
        assert attributes[key]["support"] in SUPPORT
        if attributes[key]["support"] == "partial":
            assert attributes[key].get("details")
    assert attributes["check_mode"]["support"] == "full", "every runbook can be tried out"


@each_module
def test_returned_keys(name: str, documented: dict[str, dict[str, Any]]) -> None:
    keys = list(_keys(documented[name]["return"]))
    assert keys
    assert not [key for key in keys if key in FORBIDDEN_KEYS or not key.isidentifier()]


def _keys(returned: dict[str, Any]) -> Iterator[str]:
    for key, value in returned.items():
        yield key
        yield from _keys(value.get("contains") or {})


@each_module
def test_examples_are_whole_tasks(name: str, documented: dict[str, dict[str, Any]]) -> None:
    tasks = yaml.safe_load(documented[name]["examples"])
    assert tasks
    for task in tasks:
        assert task["name"][0].isupper()
        assert any(key.startswith("ops.runbooks.") for key in task), "modules are called by their full names"


@each_module
def test_every_option_is_described_in_a_sentence(name: str, documented: dict[str, dict[str, Any]]) -> None:
    for option, described in documented[name]["doc"]["options"].items():
        sentences = described["description"]
        sentences = [sentences] if isinstance(sentences, str) else sentences
        assert all(sentence.rstrip().endswith((".", ":", ")")) for sentence in sentences), option


def test_every_secret_option_is_hidden(documented: dict[str, dict[str, Any]]) -> None:
    """``ansible-test`` compares documentation and spec; that a secret is ``no_log`` it only guesses from names."""
    from importlib import import_module

    for name, page in documented.items():
        secrets = {
            option for option in page["doc"]["options"] if option.endswith(("password", "secret_key", "_token", "_url"))
        }
        spec = _operation_spec(import_module(f"ansible_collections.ops.runbooks.plugins.modules.{name}"))
        shown = {option for option in secrets if not spec.options[option].get("no_log")}
        assert not shown - {"endpoint_url", "api_url", "project_url"}, name


def _operation_spec(module: Any) -> Any:
    (operation,) = (value for value in vars(module).values() if isinstance(value, type) and hasattr(value, "spec"))
    return operation.spec


def test_readme_names_every_module() -> None:
    readme = Path(CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert not [name for name in module_names() if name not in readme]


@each_module
def test_a_module_has_an_integration_target(name: str) -> None:
    """Bad input, check, do, do again, check again, undo, undo again."""
    assert (CHECKOUT / "tests" / "integration" / "targets" / name / "tasks" / "main.yml").is_file()


def test_every_runbook_has_a_molecule_scenario() -> None:
    scenarios = {path.parent.name for path in (CHECKOUT / "extensions" / "molecule").glob("*/molecule.yml")}
    assert scenarios >= {path.stem for path in (CHECKOUT / "playbooks").glob("*.yml")}


def test_every_scenario_looks_whether_check_mode_wrote() -> None:
    """As a step, which is in config.yml, or at the end of its converge.yml; init writes to no store."""
    folders = [path.parent for path in (CHECKOUT / "extensions" / "molecule").glob("*/molecule.yml")]
    own = {each.name for each in folders if "test_sequence" in (each / "molecule.yml").read_text(encoding="utf-8")}
    looking = {each.name for each in folders if "unwritten.yml" in (each / "converge.yml").read_text(encoding="utf-8")}
    assert own - looking == {"init"}, "let converge.yml end with an import of ../common/unwritten.yml"
