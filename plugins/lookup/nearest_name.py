# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which name was meant by one with a slip of the pen; it runs where ansible-playbook does, and reaches nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
name: nearest_name
short_description: The name that was meant by one with a slip of the pen
version_added: 1.0.0
author:
  - The ops.runbooks contributors (@ops-runbooks)
description:
  - Tells of each name which of the known ones it was meant for, as P(ops.runbooks.mistaken_inputs#lookup) measures it.
  - Every runbook asks this of a variable of the inventory that begins with C(runbooks_) and that none of them reads.
options:
  _terms:
    description: The names as they were written.
    type: list
    elements: str
    required: true
  known:
    description: The names that there are.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Say which one was meant
  ansible.builtin.debug:
    msg: "Did you mean {{ lookup('ops.runbooks.nearest_name', 'runbooks_stroe', known=['runbooks_store']) }}?"
"""

RETURN = r"""
_raw:
  description: The known name for each, empty where none is near.
  type: list
  elements: str
  sample: [runbooks_store]
"""

from collections.abc import Mapping
from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.ops.runbooks.plugins.module_utils._core.inputs import nearest


class LookupModule(LookupBase):
    """Compares names, and looks at nothing else."""

    def run(self, terms: list[Any], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """The names that were meant, in the order of ``terms``."""
        ansible: Any = self  # ansible-core is typed in part
        ansible.set_options(var_options=variables, direct=kwargs)
        return [nearest(str(term), ansible.get_option("known")) for term in terms]
