# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Repositories as the stand-in for GitHub shows them: commits, what was checked of each, archives of the sources."""

from __future__ import annotations

import hashlib
import io
import secrets
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sandbox.github import model
from sandbox.github.model import CheckRun, Commit, Repository
from sandbox.standin.http import Reply
from sandbox.standin.refusal import Refused

NAME = r"(?P<owner>[^/]+)/(?P<repo>[^/]+)"
_SECRET = secrets.token_bytes(16)

Route = Callable[[Repository, Mapping[str, str], Mapping[str, str], str], Reply]


def _repository(repository: Repository, _names: Mapping[str, str], _query: Mapping[str, str], base: str) -> Reply:
    owner, name = repository.name.split("/")
    return Reply(
        body={
            "id": repository.id,
            "name": name,
            "full_name": repository.name,
            "private": repository.private,
            "owner": {"login": owner},
            "default_branch": repository.default_branch,
            "url": f"{base}/repos/{repository.name}",
        }
    )


def _commit(repository: Repository, names: Mapping[str, str], _query: Mapping[str, str], base: str) -> Reply:
    commit = model.find_commit(repository, names["ref"])
    return Reply(body=_shape(repository, commit, base))


def _branch(repository: Repository, names: Mapping[str, str], _query: Mapping[str, str], base: str) -> Reply:
    """With the summary of its protection that everybody sees who may read it."""
    if names["ref"] not in repository.refs:
        raise Refused(404, "", "Branch not found")
    commit = model.find_commit(repository, names["ref"])
    demands = repository.branches.get(names["ref"], model.Branch()).protection
    required = {
        "enforcement_level": "non_admins" if demands else "off",
        "contexts": [each.context for each in demands],
        "checks": [{"context": each.context, "app_id": each.app_id} for each in demands],
    }
    body = {
        "name": names["ref"],
        "commit": _shape(repository, commit, base),
        "protected": bool(demands),
        "protection": {"enabled": bool(demands), "required_status_checks": required},
    }
    return Reply(body=body)


def _rules(repository: Repository, names: Mapping[str, str], query: Mapping[str, str], base: str) -> Reply:
    """The rules of all rulesets for a branch of this name, whether it exists or not."""
    branch = repository.branches.get(names["ref"], model.Branch())
    found: list[dict[str, Any]] = [{"type": "deletion", "ruleset_source_type": "Repository", "ruleset_id": 42}]
    if branch.rules:
        checks = [
            {"context": each.context, **({} if each.app_id is None else {"integration_id": each.app_id})}
            for each in branch.rules
        ]
        parameters = {"strict_required_status_checks_policy": False, "required_status_checks": checks}
        found.append({"type": "required_status_checks", "ruleset_id": 42, "parameters": parameters})
    if branch.workflows:
        found.append({"type": "workflows", "ruleset_id": 43, "parameters": {"workflows": [{"path": "ci.yml"}]}})
    page, headers = paged(found, query, f"{base}/repos/{repository.name}/rules/branches/{names['ref']}")
    return Reply(body=page, headers=headers)


def _check_runs(repository: Repository, names: Mapping[str, str], query: Mapping[str, str], base: str) -> Reply:
    commit = model.find_commit(repository, names["ref"])
    found = [
        each
        for each in commit.check_runs
        if (query.get("filter") == "all" or not each.superseded)
        and query.get("check_name") in (None, each.name)
        and query.get("status") in (None, each.status)
    ]
    shown = [_run(repository, commit, each, number, base) for number, each in enumerate(found)]
    page, headers = paged(shown, query, f"{base}/repos/{repository.name}/commits/{names['ref']}/check-runs")
    return Reply(body={"total_count": len(shown), "check_runs": page}, headers=headers)


def _check_suites(repository: Repository, names: Mapping[str, str], query: Mapping[str, str], base: str) -> Reply:
    """Those of the apps that were told of the commit."""
    commit = model.find_commit(repository, names["ref"])
    runs = [each for each in commit.check_runs if not each.superseded]
    shown: list[dict[str, Any]] = []
    for (app, app_id, number), name in _suites(commit).items():
        mine = [each for each in runs if (each.app, each.suite) == (app, number)]
        waits = app in commit.unfinished and number == 0
        done = bool(mine) and not waits and all(each.status == "completed" for each in mine)
        suite = {"id": name, "head_sha": commit.sha, "app": {"id": app_id, "slug": app}}
        status = "completed" if done else "in_progress" if mine else "queued"
        shown.append({**suite, "status": status, "latest_check_runs_count": len(mine)})
    page, headers = paged(shown, query, f"{base}/repos/{repository.name}/commits/{names['ref']}/check-suites")
    return Reply(body={"total_count": len(shown), "check_suites": page}, headers=headers)


def _suites(commit: Commit) -> dict[tuple[str, int, int], int]:
    """App, its id and the number of its suite, to the suite's id."""
    found = {(each.app, each.app_id, each.suite) for each in commit.check_runs} | {(app, 0, 0) for app in commit.idle}
    return {suite: 500 + number for number, suite in enumerate(sorted(found))}


def _status(repository: Repository, names: Mapping[str, str], query: Mapping[str, str], base: str) -> Reply:
    commit = model.find_commit(repository, names["ref"])
    newest = {each.context: each for each in commit.statuses}
    shown = [
        {"context": each.context, "state": each.state, "description": each.description, "target_url": None}
        for each in newest.values()
    ]
    page, headers = paged(shown, query, f"{base}/repos/{repository.name}/commits/{names['ref']}/status")
    body = {
        "state": model.combined(tuple(newest.values())),
        "sha": commit.sha,
        "total_count": len(shown),
        "statuses": page,
        "repository": {"full_name": repository.name},
    }
    return Reply(body=body, headers=headers)


def _archive(repository: Repository, names: Mapping[str, str], _query: Mapping[str, str], base: str) -> Reply:
    """As the service does: the archive is somewhere else, and the answer says where."""
    commit = model.find_commit(repository, names.get("ref") or repository.default_branch)
    key = f"?token={key_of(repository, commit.sha)}" if repository.private else ""
    return Reply(
        status=302, headers={"Location": f"{base}/_codeload/{repository.name}/legacy.tar.gz/{commit.sha}{key}"}
    )


def key_of(repository: Repository, sha: str) -> str:
    """What lets anybody fetch one archive of a private repository who was told of it."""
    return hashlib.sha256(_SECRET + f"{repository.name} {sha}".encode()).hexdigest()[:29].upper()


def packed(repository: Repository, ref: str) -> Reply:
    commit = model.find_commit(repository, ref)
    if commit.sources is None or not Path(commit.sources).is_dir():
        raise not_found()
    return Reply(body=pack(repository, commit), content_type="application/x-gzip")


#: What can be asked, and the permission that it needs.
ROUTES: tuple[tuple[str, str, Route], ...] = (
    (rf"/repos/{NAME}", "metadata", _repository),
    (rf"/repos/{NAME}/branches/(?P<ref>.+)", "contents", _branch),
    (rf"/repos/{NAME}/rules/branches/(?P<ref>.+)", "metadata", _rules),
    (rf"/repos/{NAME}/commits/(?P<ref>.+)/check-runs", "checks", _check_runs),
    (rf"/repos/{NAME}/commits/(?P<ref>.+)/check-suites", "checks", _check_suites),
    (rf"/repos/{NAME}/commits/(?P<ref>.+)/status", "statuses", _status),
    (rf"/repos/{NAME}/commits/(?P<ref>.+)", "contents", _commit),
    (rf"/repos/{NAME}/tarball(/(?P<ref>.+))?", "contents", _archive),
)


def pack(repository: Repository, commit: Commit) -> bytes:
    """The sources of a commit as GitHub packs them: below one directory, with the commit in the archive's header."""
    packed = io.BytesIO()
    top = f"{repository.name.replace('/', '-')}-{commit.sha[:7]}"
    headers = {"comment": commit.sha}
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.PAX_FORMAT, pax_headers=headers) as tar:
        tar.add(str(commit.sources), arcname=top, filter=_plain)
    return packed.getvalue()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if any(part in (".git", ".vercel", "__pycache__") for part in member.name.split("/")):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _shape(repository: Repository, commit: Commit, base: str) -> dict[str, Any]:
    return {
        "sha": commit.sha,
        "commit": {"message": commit.message},
        "url": f"{base}/repos/{repository.name}/commits/{commit.sha}",
        "html_url": f"{base}/{repository.name}/commit/{commit.sha}",
        "parents": [],
    }


def _run(repository: Repository, commit: Commit, run: CheckRun, number: int, base: str) -> dict[str, Any]:
    completed = run.status == "completed"
    return {
        "id": run.id or number + 1,
        "name": run.name,
        "head_sha": commit.sha,
        "status": run.status,
        "conclusion": run.conclusion if completed else None,
        "started_at": "2026-01-01T00:00:00Z",
        "completed_at": "2026-01-01T00:01:00Z" if completed else None,
        "html_url": f"{base}/{repository.name}/runs/{run.id or number + 1}",
        "details_url": run.details_url or f"{base}/{repository.name}/runs/{run.id or number + 1}",
        "app": {"id": run.app_id, "slug": run.app},
        "check_suite": {"id": _suites(commit)[run.app, run.app_id, run.suite]},
    }


def paged(items: list[Any], query: Mapping[str, str], url: str) -> tuple[list[Any], dict[str, str]]:
    """One page of a list, and the header that says whether there is more."""
    size = min(100, int(query.get("per_page", 30)))
    number = int(query.get("page", 1))
    rest = len(items) > number * size
    link = {"Link": f'<{url}?per_page={size}&page={number + 1}>; rel="next"'} if rest else {}
    return items[(number - 1) * size : number * size], link


def not_found() -> Refused:
    """It does not exist, or not for this token."""
    return Refused(404, "", "Not Found")
