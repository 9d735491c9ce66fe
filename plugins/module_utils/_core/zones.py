# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time zones by their names (private to ops.runbooks)."""

from __future__ import annotations

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError


def zone_of(name: str, option: str) -> tzinfo:
    """The time zone of that name; ``option`` is the one that named it. Raises ``invalid_parameter``."""
    if name.upper() in ("UTC", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise RunbookError(
            code="invalid_parameter",
            attempted=f"read {option}",
            object=repr(name),
            reason="no such time zone is known here",
            remedy="Write a name of the IANA database such as Europe/Berlin; where all names are unknown, install "
            "tzdata.",
        ) from None
