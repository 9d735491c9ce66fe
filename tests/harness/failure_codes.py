# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``docs/failure_codes.md``, generated from the table in ``_core/errors.py``: ``python -m harness.failure_codes``."""

from __future__ import annotations

import ast
import re

from harness.paths import CHECKOUT, MODULE_UTILS
from harness.source import source

PAGE = CHECKOUT / "docs" / "failure_codes.md"
TABLE = MODULE_UTILS / "_core" / "errors.py"

_HEAD = """\
# Failure codes

A module that fails says in `msg` what was attempted, on what, why, and what to do now; `failure.code` is one of these.
A code is never renamed or reused, so scripts and alerts may rely on it. `failure.remedy` is the advice for the case at
hand.

<!-- Generated from plugins/module_utils/_core/errors.py by `PYTHONPATH=tests python -m harness.failure_codes`. -->
"""


def sections() -> dict[str, dict[str, str]]:
    """Section heading (the comments in the table) to its codes and their meanings."""
    file = source(TABLE)
    (table,) = (
        node.value
        for node in file.tree.body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "FAILURE_CODES"
    )
    if not isinstance(table, ast.Dict):
        raise TypeError("FAILURE_CODES is not a literal dictionary")
    lines = file.text.splitlines()
    found: dict[str, dict[str, str]] = {}
    for key, value in zip(table.keys, table.values, strict=True):
        if key is None:
            raise TypeError("FAILURE_CODES is not a literal dictionary")
        heading = next(match[1] for line in reversed(lines[: key.lineno]) if (match := re.match(r"^    # (.*)$", line)))
        found.setdefault(heading, {})[ast.literal_eval(key)] = ast.literal_eval(value)
    return found


def codes() -> set[str]:
    """Every registered code."""
    return {code for section in sections().values() for code in section}


def render() -> str:
    """The page."""
    parts = [_HEAD]
    for heading, table in sections().items():
        rows = "\n".join(f"| `{code}` | {meaning} |" for code, meaning in table.items())
        parts.append(f"\n## {heading[0].upper()}{heading[1:]}\n\n| code | meaning |\n| --- | --- |\n{rows}\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
