# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failure codes: registered, used, documented, provoked."""

from __future__ import annotations

import ast
import re
from functools import cache

from harness.failure_codes import PAGE, TABLE, codes, render
from harness.paths import PLAYBOOKS, ROLES
from harness.source import Source, dotted, plugins, suite


@cache
def used() -> set[str]:
    """Every registered code that stands in our code as a string, the table itself left out, or in a play."""
    plays = (path.read_text(encoding="utf-8") for folder in (ROLES, PLAYBOOKS) for path in folder.rglob("*.yml"))
    lines = (line for text in plays for line in text.splitlines() if not line.lstrip().startswith("#"))
    words = {word for line in lines for word in re.findall(r"[a-z_]+", line)}
    return ({text for source in plugins() if source.path != TABLE for text in strings(source)} | words) & codes()


@cache
def provoked() -> set[str]:
    """Every registered code that a test outside of this folder names as a word in a string."""
    texts = (text for source in suite() if source.path.parent.name != "project" for text in strings(source))
    return {word for text in texts for word in re.findall(r"[a-z_]+", text)} & codes()


def strings(source: Source) -> list[str]:
    return [node.value for node in source.nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def raised() -> set[str]:
    """Every literal ``code=`` of a RunbookError."""
    found = set()
    for source in plugins():
        for node in source.nodes:
            if isinstance(node, ast.Call) and dotted(node.func).endswith("RunbookError"):
                for keyword in node.keywords:
                    if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                        found.add(keyword.value.value)
    return found


def test_every_raised_code_is_registered() -> None:
    assert raised() <= codes()


def test_every_code_is_used() -> None:
    assert not codes() - used()


def test_every_code_is_provoked_by_a_test() -> None:
    assert not codes() - provoked()


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run: PYTHONPATH=tests python -m harness.failure_codes"


def test_codes_read_well() -> None:
    assert not [code for code in codes() if not re.fullmatch(r"[a-z]+(_[a-z]+)*", code)]


def test_meanings_are_sentences() -> None:
    from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import FAILURE_CODES

    assert set(FAILURE_CODES) == codes()
    tools = ("pg_dump ", "pg_restore ")
    begun = {text for text in FAILURE_CODES.values() if text[0].isupper() or text.startswith(tools)}
    assert not [text for text in FAILURE_CODES.values() if text not in begun or not text.endswith(".")]
