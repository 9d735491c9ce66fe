# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of modules that talk to Supabase, in step with ``SUPABASE_SPEC`` of ``_supabase/client.py``."""

from __future__ import annotations


class ModuleDocFragment:
    """C(ops.runbooks._supabase) for modules of one project."""

    DOCUMENTATION = r"""
options:
  project_ref:
    description:
      - The ref of the project, twenty small letters or digits, as in the address of its dashboard.
    type: str
    required: true
  token:
    description:
      - An access token of Supabase.
      - Without it E(SUPABASE_ACCESS_TOKEN) in the environment of the module's process is used.
    type: str
  api_url:
    description:
      - The address of Supabase's Management API. Plain http is only taken for this machine itself.
    type: str
    default: https://api.supabase.com
  project_url:
    description:
      - The address of the project itself, where keys are tried. The default is C(https://<project_ref>.supabase.co); a
        custom domain works too.
    type: str
requirements:
  - requests
"""
