# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policies for AWS that are in the documentation, which tests hold against what modules ask for."""

from __future__ import annotations

import json

from harness.paths import CHECKOUT


def allowed(section: str) -> set[str]:
    """The actions of the policy below a heading."""
    text = (CHECKOUT / "docs" / "permissions.md").read_text(encoding="utf-8")
    policy = json.loads(text.partition(f"### {section}\n")[2].partition("```json\n")[2].partition("```")[0])
    return {action for statement in policy["Statement"] for action in statement["Action"]}
