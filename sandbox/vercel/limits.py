# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rate limits as the service announces them: so many requests of a kind in a window, counted for each account."""

from __future__ import annotations

import re
import threading
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Any

from sandbox.standin.refusal import Refused

MINUTE = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How often, in a window of how many milliseconds."""

    name: str
    method: str
    path: str
    count: int
    window: int = MINUTE


#: The first that matches counts. ``builds_rate_limited`` and the daily ones are for fault switches.
LIMITS = (
    Limit(name="env-list", method="GET", path=r"/projects/[^/]+/env", count=500),
    Limit(name="env-create", method="POST", path=r"/projects/[^/]+/env", count=120),
    Limit(name="env-update", method="PATCH", path=r"/projects/[^/]+/env/[^/]+", count=120),
    Limit(name="env-delete", method="DELETE", path=r"/projects/[^/]+/env(/[^/]+)?", count=60),
    Limit(name="deployment-list", method="GET", path=r"/deployments", count=1000),
    Limit(name="deployment-get", method="GET", path=r"/deployments/[^/]+", count=500),
    Limit(name="deployment-create", method="POST", path=r"/deployments", count=120, window=5 * MINUTE),
    Limit(name="deployment-delete", method="DELETE", path=r"/deployments/[^/]+", count=200, window=10 * MINUTE),
    Limit(name="alias-list", method="GET", path=r"/aliases(/[^/]+)?", count=500),
    Limit(name="alias-create", method="POST", path=r"/deployments/[^/]+/aliases", count=120, window=10 * MINUTE),
    Limit(name="domain-change", method="POST|PATCH|DELETE", path=r"/projects/[^/]+/domains(/[^/]+)?", count=100),
    Limit(name="other", method=".*", path=".*", count=2000),
)


class Limiter:
    """Counts requests; the counts do not outlive the server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[tuple[str, str], deque[int]] = defaultdict(deque)
        #: Replaced counts, by the limit's name.
        self.counts: dict[str, int] = {}

    def set_counts(self, counts: dict[str, Any]) -> None:
        """Replace limits by name; all others are the service's again."""
        self.counts = {name: int(count) for name, count in counts.items()}

    def take(self, method: str, path: str, account: str, *, now: int) -> dict[str, str]:
        """Count one request and return the headers that every answer carries.

        Raises:
            Refused: There were too many.
        """
        bare = re.sub(r"^/v\d+(/now)?", "", path)
        limit = next(each for each in LIMITS if re.fullmatch(each.method, method) and re.fullmatch(each.path, bare))
        count = self.counts.get(limit.name, limit.count)
        with self._lock:
            times = self._times[limit.name, account]
            while times and times[0] <= now - limit.window:
                times.popleft()
            reset = (times[0] if times else now) + limit.window
            left = count - len(times)
            if left > 0:
                times.append(now)
        headers = {
            "X-RateLimit-Limit": str(count),
            "X-RateLimit-Remaining": str(max(0, left - 1)),
            "X-RateLimit-Reset": str(-(-reset // 1000)),
        }
        if left <= 0:
            raise too_many(headers, count=count, reset=reset, now=now)
        return headers


def too_many(headers: dict[str, str], *, count: int, reset: int, now: int) -> Refused:
    """429 with everything that tells a client when to come back."""
    wait = max(1, -(-(reset - now) // 1000))
    return Refused(
        429,
        "rate_limited",
        f"Too many requests - try again in {wait} seconds (more than {count}).",
        headers=headers | {"Retry-After": str(wait)},
        limit={"total": count, "remaining": 0, "reset": reset},
    )
