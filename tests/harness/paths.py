# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where things are."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

#: The directory that holds ``ansible_collections``. ``make setup`` puts a link to the checkout there; a test run from
#: another tool chain names its own.
COLLECTIONS = Path(os.environ.get("RUNBOOKS_TEST_COLLECTIONS", CHECKOUT / ".venv" / "collections"))

MODULES = CHECKOUT / "plugins" / "modules"
MODULE_UTILS = CHECKOUT / "plugins" / "module_utils"
PLAYBOOKS = CHECKOUT / "playbooks"
ROLES = CHECKOUT / "roles"
#: Migrations for tests that need some, whatever they do.
MIGRATIONS = CHECKOUT / "tests" / "harness" / "migrations"
