# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module stands on (private to ops.runbooks).

Each module imports from here first, so that an interpreter that is too old is refused in one sentence before it meets
a line that it cannot run. This file therefore keeps to what Python 3.8 understands.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 # pragma: no cover
    import json

    _REMEDY = "Set runbooks_python (outside the runbooks: ansible_python_interpreter) to a Python 3.11 or later."
    _FAILURE = {
        "code": "python_too_old",
        "attempted": "start the module",
        "object": sys.executable,
        "remedy": _REMEDY,
    }
    _REASON = f"ops.runbooks needs Python 3.11 or later, and this one is {sys.version_info[0]}.{sys.version_info[1]}"
    _MESSAGE = f"Could not start the module ({sys.executable}): {_REASON}. {_REMEDY}"
    sys.stdout.write(json.dumps({"failed": True, "msg": _MESSAGE, "failure": _FAILURE}) + "\n")
    sys.stdout.flush()
    raise SystemExit(1)
