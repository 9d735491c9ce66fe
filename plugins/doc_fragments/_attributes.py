# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module promises; a module that promises less says so in its own attributes.

An action group is for modules that take the same options: ``module_defaults`` hands what it says to each of them, and a
module refuses an option that it does not have. So what needs no store is not in the group that is told where the store
is. Of several fragments the first counts.
"""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of C(check_mode), C(diff_mode), C(idempotent) and C(action_group)."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and say what would change without changing it.
    support: full
  diff_mode:
    description: Returns what has changed, or would change in C(check_mode), when in diff mode.
    support: full
  idempotent:
    description:
      - When run twice with the same arguments outside check mode, the second run changes nothing.
      - This assumes that what the module works on has not changed in between.
    support: full
  action_group:
    description: Use C(group/ops.runbooks.runbooks) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - ops.runbooks.runbooks
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and say what would change without changing it.
    support: full
    details:
      - This action does not modify state.
  diff_mode:
    description: Returns what has changed, or would change in C(check_mode), when in diff mode.
    support: N/A
    details:
      - This action does not modify state.
  idempotent:
    description:
      - When run twice with the same arguments outside check mode, the second run changes nothing.
      - This assumes that what the module works on has not changed in between.
    support: full
    details:
      - This action does not modify state.
  action_group:
    description: Use C(group/ops.runbooks.runbooks) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - ops.runbooks.runbooks
"""

    VERCEL = r"""
options: {}
attributes:
  action_group:
    description:
      - Use C(group/ops.runbooks.runbooks) in C(module_defaults) to say once where the store is, and
        C(group/ops.runbooks.vercel) for the project and the token.
    support: full
    membership:
      - ops.runbooks.runbooks
      - ops.runbooks.vercel
"""

    VERCEL_ONLY = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/ops.runbooks.vercel) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - ops.runbooks.vercel
"""

    ALONE = r"""
options: {}
attributes:
  action_group:
    description:
      - Belongs to no action group, since it does not take the options that those modules share.
      - Use its own name in C(module_defaults).
    support: none
    membership: []
"""
