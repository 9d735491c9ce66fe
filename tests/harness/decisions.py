# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a role decides in its variables, asked without a run of it: they are functions of what tasks have registered."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from harness.paths import ROLES


@cache
def _variables(role: str) -> dict[str, Any]:
    """What a role brings along; its variables hide its defaults."""
    found: dict[str, Any] = {}
    for name in ("defaults", "vars"):
        path = ROLES / role / name / "main.yml"
        found |= DataLoader().load_from_file(str(path), trusted_as_template=True) if path.exists() else {}
    return found


class Decisions:
    """The variables of a role, for hosts of which is known what ``facts`` say."""

    def __init__(self, role: str, facts: Mapping[str, Mapping[str, Any]], **variables: Any) -> None:
        self._loader = DataLoader()
        self._facts = facts
        self._known = {"hostvars": facts, "ansible_play_hosts_all": list(facts), **variables}
        self._known = {**_variables(role), **self._known}

    def __call__(self, host: str, name: str) -> Any:
        """What the variable ``name`` is for a host."""
        known = {**self._known, **self._facts[host], "inventory_hostname": host}
        return Templar(self._loader, variables=known).template(trust_as_template(f"{{{{ {name} }}}}"))
