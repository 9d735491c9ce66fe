# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The releases of an app that are on record (private to ops.runbooks).

Each is a document ``<environment>/apps/<name>/releases/<UTC>.<deployment>``, so that a list of keys shows the newest
ones, and only those are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import compact
from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Series

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One release. ``gate`` is pass, fail, inconclusive or '' where none was held; ``bad`` why it is not to be used.

    ``attempt`` counts how often it was set out to be released, 0 where never by a runbook; ``started_at`` and what
    follows are of the last attempt: the deployment that takes its place where its gate fails, the number of the last
    move of production before it, the digest of its plan, and the run by which it began: apps whose attempts one run
    began are one release. ``baseline`` is what served when the first one began.
    ``migrations`` are what it knows of each of its databases, as M(ops.runbooks.postgres_migration) returns it, and
    ``pending`` those with which the last attempt began: database to name to checksum.
    """

    release: str
    deployment_id: str
    gate: str = ""
    bad: str = ""
    git_sha: str = ""
    url: str = ""
    recorded_at: str = ""
    baseline: bool = False
    attempt: int = 0
    started_at: str = ""
    rollback_to: str = ""
    moves_before: int = 0
    digest: str = ""
    began_in: str = ""
    migrations: Mapping[str, Any] = field(default_factory=dict)
    pending: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Recorded:
        """From its document, or from a module's options."""
        known: dict[str, Any] = {each.name: _value(each.type, body.get(each.name)) for each in fields(cls)}
        return cls(**known)

    @property
    def passed(self) -> bool:
        """Whether it can be gone back to."""
        return self.gate == "pass" and not self.bad

    @property
    def open(self) -> bool:
        """Whether an attempt began whose gate is not decided."""
        return self.attempt > 0 and not self.gate and not self.bad

    def describe(self) -> dict[str, Any]:
        """For results, as M(ops.runbooks.vercel_rollback) takes them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


class Releases:
    """The records of one app."""

    def __init__(self, store: Store, environment: str, name: str, context: Context) -> None:
        self._prefix = f"{environment}/apps/{name}/releases/"
        self._store = store
        self._context = context

    def newest(self, limit: int) -> list[Recorded]:
        """The newest ones, newest first."""
        found = []
        for folder in sorted(self._folders(), reverse=True)[:limit]:
            document = self._series(folder).current()
            if document is not None:
                found.append(_read(document.body))
        return found

    def of(self, deployment: str) -> Recorded | None:
        """The record of one deployment; None where there is none."""
        folder = self._folder(deployment)
        document = self._series(folder).current() if folder else None
        return _read(document.body) if document is not None else None

    def write(self, recorded: Recorded, measurements: Mapping[str, Any], now: datetime) -> None:
        """Write a record, or the next version of it. Raises ``store_failed``."""
        folder = self._folder(recorded.deployment_id) or f"{compact(now)}.{recorded.deployment_id}"
        series = self._series(folder)
        known = {**recorded.describe(), "measurements": dict(measurements)}
        body = {"recorded": self._context.redactor.value(known)}
        series.append(body, attempted=f"record the release {recorded.release}", effect=self._context.effect)

    def _folders(self) -> set[str]:
        return {each.key.removeprefix(self._prefix).split("/")[0] for each in self._store.list(self._prefix)}

    def _folder(self, deployment: str) -> str:
        """The place of a deployment's record; the first, should there ever be two."""
        return min((each for each in self._folders() if each.partition(".")[2] == deployment), default="")

    def _series(self, folder: str) -> Series:
        return Series(self._store, self._prefix + folder)


def _value(kind: object, given: object) -> Any:
    """A field of a record; ``kind`` is its annotation."""
    if str(kind).startswith("Mapping"):
        return dict(given) if isinstance(given, Mapping) else {}
    if kind == "bool":
        return given is True
    if kind == "int":
        return given if isinstance(given, int) else 0
    return str(given or "")


def _read(body: Mapping[str, Any]) -> Recorded:
    known = body.get("recorded")
    return Recorded.read(known if isinstance(known, Mapping) else {})
