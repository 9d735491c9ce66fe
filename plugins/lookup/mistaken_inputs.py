# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was typed after ``-e`` and cannot have been meant; it runs where ansible-playbook does, and reaches nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
name: mistaken_inputs
short_description: Find what was given with -e and cannot have been meant
version_added: 1.0.0
author:
  - The ops.runbooks contributors (@ops-runbooks)
description:
  - Returns a sentence for each extra variable that is no launch input of the runbook, but whose name is nearly that of
    one, and asks whether that one was meant; ansible itself takes any name. Two names are near where they differ in
    case or in C(_) and C(-) only, or by one slip of the pen, in longer names two - a letter too many, missing, wrong,
    or swapped with the next.
  - Returns one for an extra variable without a value, too.
  - Returns one for each launch input with a value that it does not take, and says which values it takes.
  - Variables of the inventory are not looked at, nor are those whose names begin with C(ansible_), C(awx_), C(tower_),
    C(molecule_) or C(runbooks_), nor those of the argument specifications of roles of this collection.
  - Every runbook asks this before it does anything.
options:
  _terms:
    description:
      - The launch inputs, as a dictionary of what each takes. V(any) is any text, V(switch) yes or no, and a list the
        words in it. An empty value counts as not given.
    type: list
    elements: dict
    required: true
  runbook:
    description: Name of the runbook, as the sentences say it.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse a slip of the pen
  ansible.builtin.assert:
    that: mistaken | length == 0
    fail_msg: "{{ mistaken | first | default('') }}"
  vars:
    mistaken: "{{ query('ops.runbooks.mistaken_inputs', {'dir': 'any'}, runbook='init') }}"
"""

RETURN = r"""
_raw:
  description: A sentence for each. Empty where everything can be meant.
  type: list
  elements: str
  sample:
    - >-
      Could not begin, since takeback is no input of rotate: did you mean take_back? Correct its name, or take it away.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.plugins.lookup import LookupBase
from ansible.utils.vars import load_extra_vars
from ansible_collections.ops.runbooks.plugins.module_utils._core.inputs import ANY, mistaken_names, mistaken_values

_ROLES = Path(__file__).resolve().parents[2] / "roles"


class LookupModule(LookupBase):
    """Looks at what ansible has read from the command line, files of ``-e @file`` included."""

    def run(self, terms: list[Any], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """The sentences, first about names, then about values."""
        ansible: Any = self  # ansible-core is typed in part
        ansible.set_options(var_options=variables, direct=kwargs)
        inputs = {name: takes for each in terms for name, takes in each.items()}
        known = variables or {}
        limited = {name: takes for name, takes in inputs.items() if takes != ANY and name in known}
        values = [(name, takes, ansible._templar.template(known[name])) for name, takes in limited.items()]
        given = load_extra_vars(ansible._loader)
        return mistaken_names(ansible.get_option("runbook"), inputs, given, _specified) + mistaken_values(values)


def _specified() -> set[str]:
    """Variables that roles of this collection take."""
    found: set[str] = set()
    for path in _ROLES.glob("*/meta/argument_specs.yml"):
        specs = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
        found.update(name for entry in specs.values() for name in entry.get("options") or {})
    return found
