# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Apps that have a release too and are not part of a run (private to ops.runbooks).

A release is whole or it is not, as far as a run reaches: ``--limit`` leaves apps out, and what is taken back here stays
there. That may be meant, so that it is said by name and not refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.names import check_name
from ansible_collections.ops.runbooks.plugins.module_utils._release.releases import Recorded, Releases
from ansible_collections.ops.runbooks.plugins.module_utils._release.restored import serving
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.moves import Moves
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.target import Intent

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store

#: Releases of each app that are looked through.
_RECORDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """An app that serves the release, by what is on record. ``decided`` is whether a passed gate says so."""

    app: str
    deployment_id: str
    decided: bool

    def describe(self) -> dict[str, Any]:
        """For results."""
        return {"app": self.app, "deployment_id": self.deployment_id, "decided": self.decided}

    def warning(self) -> str:
        """Where it has been left half done."""
        return f"{self.app} serves the release with a gate that nobody has decided: run the same command for it too."

    def step(self) -> str:
        """For the plan."""
        gate = "" if self.decided else ", with a gate that nobody has decided"
        return f"leave {self.app} as it is, which is not part of this run and serves the release too{gate}"


def elsewhere(app: str, release: str, releases: Iterable[Recorded], moves: Iterable[Intent]) -> Elsewhere | None:
    """Whether an app serves a release; ``releases`` and ``moves`` are its own, newest first."""
    listed = tuple(releases)
    # One whose promote was the last thing that happened is on record without a verdict.
    found = serving(listed, moves)
    if found is None or release not in (found.release, found.git_sha) or found.bad:
        return None
    return Elsewhere(app=app, deployment_id=found.deployment_id, decided=found.passed)


def read(store: Store, environment: str, apps: Iterable[str], release: str, context: Context) -> Iterator[Elsewhere]:
    """Those of ``apps`` that serve the release. Raises ``invalid_parameter``."""
    for name in dict.fromkeys(apps):
        check_name(name, "others")
        releases = Releases(store, environment, name, context).newest(_RECORDS)
        if not any(release in (each.release, each.git_sha) for each in releases):
            continue
        found = elsewhere(name, release, releases, Moves(store, environment, name, context).newest_first())
        if found is not None:
            yield found
