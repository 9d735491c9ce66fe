# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection that ``docs/own-providers.md`` has for an example, made of what stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from harness.paths import CHECKOUT

DOCUMENT = CHECKOUT / "docs" / "own-providers.md"
#: Where the example says that its files are.
_SERVED = "/srv/worker"


def _blocks() -> dict[str, str]:
    """Path, or nothing for the inventory, to the block of code below it."""
    text = DOCUMENT.read_text(encoding="utf-8").partition("## A whole example")[2]
    found = re.findall(r"^(?:`(acme/[^`]+)`|In the inventory):\n\n```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return dict(found)


def make_collection(root: Path) -> Path:
    """The example's collection below ``root``, which is what is given as a place of collections."""
    for name, text in _blocks().items():
        if name:
            path = root / "ansible_collections" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return root


def declared(folder: Path) -> dict[str, Any]:
    """The secret of the example, whose daemon has its files in ``folder``."""
    (folder / "tokens").mkdir(parents=True, exist_ok=True)
    text = _blocks()[""].replace(_SERVED, str(folder))
    (secret,) = yaml.safe_load(text)["runbooks_secrets"]
    assert str(folder) in str(secret)
    return dict(secret)
