# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``docs/coverage.yml`` is complete, and what it claims exists."""

from __future__ import annotations

import ast
from typing import Any

import pytest
import yaml

from harness.paths import CHECKOUT
from harness.source import Source

COVERAGE = yaml.safe_load((CHECKOUT / "docs" / "coverage.yml").read_text(encoding="utf-8"))
ENTRIES = {str(key): entry for part in ("items", "dangerous") for key, entry in COVERAGE[part].items()}


def test_every_item_is_accounted_for() -> None:
    assert list(COVERAGE["items"]) == list(range(1, 165))
    assert list(COVERAGE["dangerous"]) == [f"D{number}" for number in range(1, 44)]


@pytest.mark.parametrize("key", ENTRIES)
def test_entry(key: str) -> None:
    entry = ENTRIES[key]
    assert entry["what"]
    assert set(entry) <= {"what", "built", "planned", "left"}
    assert ("left" in entry) != bool({"built", "planned"} & set(entry)), "built, planned or both; or left"
    if "built" in entry:
        _check_built(entry["built"])


def _check_built(built: dict[str, Any]) -> None:
    assert built["by"]
    assert built["tests"]
    assert not [path for path in built["by"] if not (CHECKOUT / path).exists()]
    assert not [test for test in built["tests"] if not _exists(test)]


def _exists(test: str) -> bool:
    """``path``, or ``path::function`` of a pytest file."""
    path, _sep, name = test.partition("::")
    if not (CHECKOUT / path).exists():
        return False
    if not name:
        return not path.endswith(".py")
    nodes = ast.walk(Source(CHECKOUT / path).tree)
    return name in {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
