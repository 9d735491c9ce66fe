# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which releases a database still fits (private to ops.runbooks); pure.

A release that was built with a migration among its files knows of it, and does without what it takes away. Of one whose
migrations are not on record it fits those that were recorded since, the release that it was run for, and else the one
that was good last before it and so was serving then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.taken_away import Taken
from ansible_collections.ops.runbooks.plugins.module_utils._release.releases import Recorded


def judged(found: Sequence[Recorded], databases: Mapping[str, Sequence[Taken]]) -> list[Recorded]:
    """The same releases, newest first; ``bad`` of those that do not fit says so, unless it says something else."""
    return [each if each.bad else replace(each, bad=_reason(each, found, databases)) for each in found]


def _reason(release: Recorded, found: Sequence[Recorded], databases: Mapping[str, Sequence[Taken]]) -> str:
    for database, taken in databases.items():
        known = release.migrations.get(database)
        for each in taken:
            if isinstance(known, Mapping):
                fits = each.name in (known.get("contract") or ())
            else:
                fits = _served(release, found, each)
            if not fits:
                return f"it does not fit {database} any more, from which {each.name} has taken something away"
    return ""


def _served(release: Recorded, found: Sequence[Recorded], taken: Taken) -> bool:
    """Whether it is as new as the migration, or was serving when that was run."""
    if taken.release and release.git_sha == taken.release:
        return True
    if taken.applied_at and release.recorded_at >= taken.applied_at:
        return True
    before = [each for each in found if each.recorded_at < taken.applied_at and each.passed]
    return bool(before) and before[0].deployment_id == release.deployment_id
