# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A project on the stand-in for Vercel, and what tests ask of it."""

from __future__ import annotations

import http.client
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.vercel import Project, VercelServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A project with the deployments A to D: A, B and C have served production in turn, D has not yet."""

    vercel: VercelServer
    tag: str

    def id(self, letter: str) -> str:
        """The id of a deployment."""
        return f"dpl_{self.tag}{letter}"

    @property
    def project_id(self) -> str:
        """The project's id."""
        return f"prj_{self.tag}"

    @property
    def host(self) -> str:
        """The production domain."""
        return f"{self.tag}.localhost"

    @property
    def options(self) -> dict[str, str]:
        """What every module takes."""
        return {
            "token": self.vercel.token,
            "team": "sandbox",
            "project": f"web-{self.tag}",
            "api_url": self.vercel.api_url,
        }

    @property
    def project(self) -> Project:
        """The project as it is now."""
        return self.vercel.world().projects[self.project_id]

    @property
    def serves(self) -> str:
        """The letter of what the production domain is led to."""
        return self.vercel.world().aliases[self.host].deployment[-1]

    def change(self, **fields: Any) -> None:
        """Change fields of the project."""
        self.vercel.change("projects", self.project_id, **fields)

    def posts(self, what: str = "") -> list[str]:
        """The promotes and rollbacks that were asked for."""
        found = self.vercel.requests("POST", f"/projects/{self.project_id}/{what}")
        return [each["target"].partition("?")[0] for each in found]


def make_site(vercel: VercelServer, *, behaviours: Mapping[str, Any] | None = None, **fields: Any) -> Site:
    """A fresh one, of which C serves."""
    from sandbox.vercel import Alias, Deployment, Domain, Project

    site = Site(vercel=vercel, tag=secrets.token_hex(4))
    now = int(time.time() * 1000)
    deployments = [
        Deployment(
            id=site.id(letter),
            project=site.project_id,
            url=f"{site.tag}-{letter.lower()}.localhost",
            substate="PROMOTED" if letter in "ABC" else "STAGED",
            created_at=now - 400_000 + number * 100_000,
            meta={"githubCommitSha": letter.lower() * 40},
            behaviour=(behaviours or {}).get(letter),
        )
        for number, letter in enumerate("ABCD")
    ]
    given: dict[str, Any] = {
        "id": site.project_id,
        "name": f"web-{site.tag}",
        "account": "team_sandbox",
        "production": site.id("C"),
        "served": tuple(site.id(letter) for letter in "ABC"),
        "domains": (Domain(name=site.host),),
    }
    project = Project(**{**given, **fields})
    vercel.put(project, *deployments, Alias(alias=site.host, deployment=site.id("C"), project=site.project_id))
    return site


@contextmanager
def continuous_probe(site: Site, path: str = "/") -> Iterator[Counter[int]]:
    """Asks the production hostname all the time; counts the statuses, 0 where there was no answer."""
    statuses: Counter[int] = Counter()
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.01):
            connection = http.client.HTTPConnection(site.vercel.host, site.vercel.port, timeout=30)
            try:
                connection.request("GET", path, headers={"Host": site.host})
                statuses[connection.getresponse().status] += 1
            except (OSError, http.client.HTTPException):
                statuses[0] += 1
            finally:
                connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        over.set()
        thread.join()
