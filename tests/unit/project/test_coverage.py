# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``docs/coverage.yml`` is complete, and what it claims exists."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import yaml

from harness.paths import CHECKOUT
from harness.source import source

COVERAGE = yaml.load((CHECKOUT / "docs" / "coverage.yml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
ENTRIES = {str(key): entry for part in ("items", "dangerous") for key, entry in COVERAGE[part].items()}


def test_every_item_is_accounted_for() -> None:
    assert list(COVERAGE["items"]) == list(range(1, 165))
    assert list(COVERAGE["dangerous"]) == [f"D{number}" for number in range(1, 44)]


def test_each_entry_is_whole() -> None:
    wrong = {key: found for key, entry in ENTRIES.items() if (found := list(_wrong(entry)))}
    assert not wrong


def _wrong(entry: dict[str, Any]) -> Iterator[str]:
    if not entry.get("what") or set(entry) - {"what", "built", "planned", "left"}:
        yield "it has what, and built, planned or left"
    if ("left" in entry) == bool({"built", "planned"} & set(entry)):
        yield "built, planned or both; or left"
    if "built" in entry:
        built = entry["built"]
        if not built["by"] or not built["tests"]:
            yield "what is built is built by something, and tested"
        yield from (f"{path} is not there" for path in built["by"] if not (CHECKOUT / path).exists())
        yield from (f"{test} is not there" for test in built["tests"] if not _exists(test))


def _exists(test: str) -> bool:
    """``path``, or ``path::function`` of a pytest file."""
    path, _sep, name = test.partition("::")
    if not (CHECKOUT / path).exists():
        return False
    if not name:
        return not path.endswith(".py")
    nodes = source(CHECKOUT / path).nodes
    return name in {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
