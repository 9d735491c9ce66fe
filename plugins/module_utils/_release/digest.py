# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether what is about to be done is what was planned and approved (private to ops.runbooks); pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import is_commit

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._release.plan import Found, Wanted

#: What has to be as it was when it was planned.
_KEPT = ("phase", "serving", "rollback_to", "attempt", "digest")


def content_of(wanted: Wanted, found: Found) -> str:
    """What will serve, in a word that is the same before and after it is built.

    The name of a release is none: the same name may be given to something else after it was approved.
    """
    deployment = found.deployment
    by_commit = wanted.build == "git" and is_commit(wanted.release)
    if by_commit and (deployment is None or deployment.sha == wanted.release):
        return f"git:{wanted.release}"
    if deployment is None:
        return found.output
    built_here = wanted.build == "prebuilt" and deployment.source.startswith("prebuilt:")
    return deployment.source if built_here else deployment.id


def digest_of(wanted: Wanted, found: Found, rollback_to: str, attempt: int) -> str:
    """A digest over what will be done, for an approval. It says nothing of ages, times and locks.

    Whether the build is there already is no part of it: a build takes no traffic, and an approval outlives it. The
    number of the attempt is, so that none outlives a release that has failed.
    """
    said = {
        "runbook": "deploy",
        "environment": wanted.environment,
        "name": wanted.name,
        "target": "production",
        "project": found.project.id,
        "release": wanted.release,
        "content": content_of(wanted, found),
        "attempt": attempt,
        "serving": found.serving,
        "rollback_to": rollback_to,
        "steps": [*(("backup", "migrate") if wanted.migrations else ()), "smoke", "promote", "gate"],
        "migrations": sorted((each.database, each.name, each.checksum) for each in wanted.migrations),
        "env_changes": sorted(wanted.env_changes),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def continues(wanted: Wanted, found: Found, rollback_to: str, attempt: int, begun: Wanted) -> bool:
    """Whether what is left is what the attempt on record had begun with.

    ``begun`` is what is wanted with the migrations of then. Those that are applied by now are no longer wanted, and one
    that is wanted now and was not then is a change.
    """
    record = found.record
    if record is None or not record.digest:
        return False
    if record.digest == digest_of(wanted, found, rollback_to, attempt):
        return True
    fewer = set(wanted.migrations) <= set(begun.migrations)
    return fewer and record.digest == digest_of(begun, found, rollback_to, attempt)


def check_holds(wanted: Wanted, planned: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise ``plan_changed`` where ``now`` is not what was ``planned``; that it has been built since is no change."""
    changes = []
    for key in _KEPT:
        before, after = planned.get(key), now.get(key)
        if key not in planned or before == after or (key, before, after) == ("phase", "build", "promote"):
            continue
        changes.append(f"{key} was {before or 'nothing'} and is {after or 'nothing'}")
    if changes:
        raise RunbookError(
            code="plan_changed",
            attempted=f"go on with the release {wanted.release}",
            object=f"{wanted.environment}/{wanted.name}",
            reason=f"it is not as it was planned, {', '.join(changes)}",
            remedy="See what serves with ops.runbooks.status; the same command again plans anew.",
        )


def with_migrations(wanted: Wanted, given: Mapping[str, Any]) -> Wanted:
    """The same with other migrations: database to name to checksum, as a record has them."""
    from ansible_collections.ops.runbooks.plugins.module_utils._release.plan import Migration

    migrations = tuple(
        Migration(database=str(database), name=str(name), checksum=str(checksum))
        for database, names in given.items()
        if isinstance(names, Mapping)
        for name, checksum in names.items()
    )
    return replace(wanted, migrations=migrations)
