# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and ids (private to ops.runbooks): what may stand in a store key, and how fresh ones are made."""

from __future__ import annotations

import re
import secrets
from datetime import datetime

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import compact
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

#: Environments, databases and apps. The leading character keeps ``..`` and hidden files out of file stores.
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")
#: Identities of changes (backup_id, restore_id, run_id, ...): no dot, since dots part the fields of index keys.
ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def check_name(value: str, what: str) -> str:
    """``value`` where it is usable as a name; ``what`` is the parameter's name."""
    return _check(NAME, value, what, "letters, digits, '_', '.' and '-'")


def check_id(value: str, what: str) -> str:
    """``value`` where it is usable as an identity; ``what`` is the parameter's name."""
    return _check(ID, value, what, "letters, digits, '_' and '-'")


def is_commit(value: str) -> bool:
    """Whether it is the whole id of a Git commit: what a part of it means may be another commit tomorrow."""
    return bool(_COMMIT.fullmatch(value))


def _check(pattern: re.Pattern[str], value: str, what: str, allowed: str) -> str:
    if pattern.fullmatch(value):
        return value
    raise RunbookError(
        code="invalid_parameter",
        attempted=f"use {what}",
        object=repr(value),
        reason=f"only {allowed} are allowed, at most 128, beginning with a letter or digit",
        remedy=f"Give {what} another value.",
    )


def new_token() -> str:
    """Twelve characters that no other run will draw: names a run's own objects, so that two writers never meet."""
    return secrets.token_hex(6)


def new_run_id(now: datetime) -> str:
    """A run's id where no playbook has given one: UTC time and a random part; sorts by time."""
    return f"{compact(now)}-{secrets.token_hex(4)}"
