# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The approvals of an app's releases that are on record (private to ops.runbooks).

Each belongs to exactly one digest of a plan, ``<environment>/apps/<name>/approvals/<release>/<digest>``, as the next
version of a document that is only ever added to: a second person approves beside the first one, and a withdrawal is
a version too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Document, Series

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store

#: How a name came about. A login of a terminal is whatever its owner says it is.
Way = Literal["awx", "github", "terminal"]
#: Versions of one document that are kept: each is evidence.
_KEPT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody, and how we came to know."""

    name: str
    way: Way = "terminal"

    @property
    def unauthenticated(self) -> bool:
        """Whether nobody but the person itself vouches for the name."""
        return self.way == "terminal"

    def is_same(self, name: str) -> bool:
        """Whether a name is this person's; whoever writes it in capitals is nobody else."""
        return self.name.strip().casefold() == name.strip().casefold()


def person_of(environ: Mapping[str, str], login: str) -> Person:
    """Who runs this: AWX and GitHub Actions say so in the environment of the process, else it is the login.

    ``login`` may have ``ann as root`` in it: it is Ann who became root.
    """
    if environ.get("AWX_USER_NAME") and environ.get("JOB_ID") and environ.get("AWX_HOST"):
        return Person(name=environ["AWX_USER_NAME"], way="awx")
    if environ.get("GITHUB_ACTIONS") == "true" and environ.get("GITHUB_ACTOR"):
        return Person(name=environ["GITHUB_ACTOR"], way="github")
    return Person(name=login.split(" as ")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One version. ``withdrawn`` says that it takes back what came before it; times are the store's."""

    approver: Person
    requester: str = ""
    reason: str = ""
    withdrawn: bool = False
    approved_at: datetime = field(default_factory=lambda: datetime.min.replace(tzinfo=UTC))
    valid_for: timedelta = timedelta(0)

    @classmethod
    def read(cls, document: Document) -> Approval:
        """From its document. What was written later than it says counts from what it says, and the other way round."""
        body = document.body.get("approval")
        body = body if isinstance(body, Mapping) else {}
        given = body.get("approved_at")
        try:
            at = min(datetime.fromisoformat(str(given)), document.modified)
            valid = timedelta(seconds=float(body.get("valid_for") or 0))
        except (ValueError, TypeError, OverflowError):
            at, valid = datetime.min.replace(tzinfo=UTC), timedelta(0)
        way = body.get("authenticated_by")
        return cls(
            approver=Person(name=str(body.get("approver") or ""), way=way if way in ("awx", "github") else "terminal"),
            requester=str(body.get("requester") or ""),
            reason=str(body.get("reason") or ""),
            withdrawn=body.get("state") == "withdrawn",
            approved_at=at,
            valid_for=valid,
        )

    def body(self, release: str, digest: str) -> dict[str, Any]:
        """For its document."""
        return {
            "state": "withdrawn" if self.withdrawn else "approved",
            "release": release,
            "digest": digest,
            "approver": self.approver.name,
            "authenticated_by": self.approver.way,
            "requester": self.requester,
            "reason": self.reason,
            "approved_at": iso(self.approved_at),
            "valid_for": int(self.valid_for.total_seconds()),
        }


class Approvals:
    """The approvals of one release of an app."""

    def __init__(self, store: Store, environment: str, name: str, release: str, context: Context) -> None:
        self._prefix = f"{environment}/apps/{name}/approvals/{release}/"
        self._release = release
        self._store = store
        self._context = context

    def of(self, digest: str) -> list[Approval]:
        """What was written for one plan, oldest first."""
        return [Approval.read(each) for each in self._series(digest).history()]

    def other_digests(self, digest: str) -> list[str]:
        """The other plans of this release for which anything was written."""
        found = {each.key.removeprefix(self._prefix).split("/")[0] for each in self._store.list(self._prefix)}
        return sorted(found - {digest})

    def write(self, approval: Approval, digest: str) -> None:
        """Add a version. Raises ``store_failed``."""
        series = self._series(digest)
        verb = "withdraw" if approval.withdrawn else "record"
        body = {"approval": self._context.redactor.value(approval.body(self._release, digest))}
        series.append(body, attempted=f"{verb} the approval of {self._release}", effect=self._context.effect)

    def _series(self, digest: str) -> Series:
        return Series(self._store, self._prefix + digest, keep=_KEPT)


def effective(approvals: Sequence[Approval]) -> list[Approval]:
    """Those that nobody has taken back, newest first."""
    found: list[Approval] = []
    for each in reversed(approvals):
        if each.withdrawn:
            break
        found.append(each)
    return found
