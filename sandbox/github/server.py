# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in for GitHub over HTTP."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sandbox.github import model, vaults
from sandbox.github.model import CheckRun, Commit, Repository, Vault, World
from sandbox.standin import codec, control, http
from sandbox.standin.http import Reply
from sandbox.standin.refusal import Refused
from sandbox.standin.switches import Switch

DOCUMENTATION = "https://docs.github.com/rest"

#: Requests that a token has in an hour.
HOURLY = 5000

NAME = r"(?P<owner>[^/]+)/(?P<repo>[^/]+)"
_SECRET = secrets.token_bytes(16)


class Store:
    """The state and its file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self.world = World()
        if path.exists():
            self.seed(json.loads(path.read_text(encoding="utf-8")))

    @property
    def name(self) -> str:
        """The file."""
        return str(self.path)

    def document(self) -> dict[str, Any]:
        """Everything."""
        return model.dump(self.world)

    def seed(self, document: Mapping[str, Any]) -> None:
        """Add things, or replace those with the same names."""
        found = model.things(document)
        with self._lock:
            world = self.world
            for thing in found:
                world = world.put(thing)
            self._keep(world)

    def patch(self, section: str, name: str, fields: Mapping[str, Any]) -> None:
        """Change fields of one thing."""
        with self._lock:
            found = getattr(self.world, section, {}).get(name)
            if found is None:
                raise KeyError(f"There is no {name} among the {section}.")
            self._keep(self.world.put(codec.decode(type(found), codec.encode(found) | dict(fields), name)))

    def change(self, path: str, change: Callable[[Vault], Vault]) -> None:
        """Make something else of one vault, while nobody else does."""
        with self._lock:
            self._keep(self.world.put(change(self.world.vaults.get(path, Vault(path=path)))))

    def _keep(self, world: World) -> None:
        self.world = world
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, prefix="github.", delete=False) as file:
            json.dump(model.dump(world), file, indent=1)
        os.replace(file.name, self.path)


class GitHubHTTPServer(http.Server):
    """One server with its state."""

    def __init__(self, port: int, state: Path) -> None:
        self.store = Store(state)
        super().__init__(port, Handler)


class Handler(http.Handler):
    """One connection."""

    server: GitHubHTTPServer

    def respond(self, body: bytes) -> None:
        """The control endpoint or the API."""
        if self.path.startswith("/_control/"):
            self.send(control.answer(self.server.store, self.server.switches, self.command, self.path, body))
        elif self.path.startswith("/_codeload/"):
            self.spoilt(self._codeload, _failure)
        else:
            self.spoilt(lambda: self._api(body), _failure)

    def _codeload(self) -> Reply:
        """Where archives are, which is another host at GitHub: it knows no tokens, but the key that an address has."""
        parts = urlsplit(self.path)
        try:
            match = re.fullmatch(rf"/_codeload/{NAME}/legacy.tar.gz/(?P<ref>.+)", parts.path)
            if match is None:
                raise _not_found()
            repository = self.server.store.world.repositories.get(f"{match['owner']}/{match['repo']}")
            if repository is None:
                raise _not_found()
            if repository.private and dict(parse_qsl(parts.query)).get("token") != _key(repository, match["ref"]):
                raise _not_found()
            return _packed(repository, match["ref"])
        except Refused as refused:
            return _error(refused)

    def _api(self, body: bytes) -> Reply:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        world, base = self.server.store.world, f"http://{self.headers.get('Host')}"
        reader: model.Token | None = None
        try:
            reader = _reader(world, self.headers.get("Authorization", ""))
            for pattern, needs, handler in ROUTES:
                match = re.fullmatch(pattern, parts.path)
                if match is not None and self.command in ("GET", "HEAD"):
                    names = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
                    if moved := _moved(world, names, base):
                        return _limited(moved, reader)
                    repository = _readable(world, reader, names)
                    _require(reader, needs)
                    return _limited(handler(repository, names, query, base), reader)
            if reply := self._vaults(reader, parts.path, query, body):
                return _limited(reply, reader)
            if match := re.fullmatch(r"/users/([^/]+)", parts.path):
                return _limited(_account(world, unquote(match[1])), reader)
            raise _not_found()
        except Refused as refused:
            return _limited(_error(refused), reader)

    def _vaults(self, reader: model.Token | None, path: str, query: Mapping[str, str], body: bytes) -> Reply | None:
        """Secrets, which only who may write them is told of; None for what is something else."""
        asked = vaults.read(self.command, path, query, body)
        if asked is None:
            return None
        store = self.server.store
        if asked.repository:
            _readable(store.world, reader, dict(zip(("owner", "repo"), asked.repository.split("/"), strict=True)))
        _require(reader, asked.permission)
        if reader is None:
            raise _not_found()
        items = vaults.answer(asked, store.world, store.change)
        if isinstance(items, Reply):
            return items
        name, found = items
        page, headers = _page(found, query, f"http://{self.headers.get('Host')}{path}")
        return Reply(body={"total_count": len(found), name: page}, headers=headers)

    def version_string(self) -> str:
        """What clients are told of the server."""
        return "github.com"


def _reader(world: World, authorization: str) -> model.Token | None:
    """Who asks; None without a token."""
    if not authorization:
        return None
    scheme, _space, shown = authorization.partition(" ")
    found = world.tokens.get(shown.strip()) if scheme.lower() in ("bearer", "token") else None
    if found is None:
        raise Refused(401, "", "Bad credentials")
    return found


def _moved(world: World, names: Mapping[str, str], base: str) -> Reply | None:
    """A repository that had this name is found by its number."""
    name = f"{names['owner']}/{names['repo']}"
    found = next((each for each in world.repositories.values() if name in each.formerly), None)
    if found is None:
        return None
    url = f"{base}/repositories/{found.id}"
    return Reply(status=301, body={"message": "Moved Permanently", "url": url}, headers={"Location": url})


def _require(reader: model.Token | None, permission: str) -> None:
    """What a fine-grained token was not given, it may not do."""
    if reader is not None and permission in reader.lacks:
        raise Refused(403, "", "Resource not accessible by personal access token")


def _account(world: World, login: str) -> Reply:
    """A person or an organisation that owns a repository here."""
    if login not in {name.split("/")[0] for name in world.repositories}:
        raise _not_found()
    return Reply(body={"login": login, "type": "Organization"})


def _readable(world: World, reader: model.Token | None, names: Mapping[str, str]) -> Repository:
    """The repository of a path; one that may not be read does not exist."""
    name = f"{names['owner']}/{names['repo']}"
    found = world.repositories.get(name)
    may = reader is not None and (not reader.repositories or name in reader.repositories)
    if found is None or (found.private and not may):
        raise _not_found()
    return found


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
    page, headers = _page(found, query, f"{base}/repos/{repository.name}/rules/branches/{names['ref']}")
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
    page, headers = _page(shown, query, f"{base}/repos/{repository.name}/commits/{names['ref']}/check-runs")
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
    page, headers = _page(shown, query, f"{base}/repos/{repository.name}/commits/{names['ref']}/check-suites")
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
    page, headers = _page(shown, query, f"{base}/repos/{repository.name}/commits/{names['ref']}/status")
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
    key = f"?token={_key(repository, commit.sha)}" if repository.private else ""
    return Reply(
        status=302, headers={"Location": f"{base}/_codeload/{repository.name}/legacy.tar.gz/{commit.sha}{key}"}
    )


def _key(repository: Repository, sha: str) -> str:
    """What lets anybody fetch one archive of a private repository who was told of it."""
    return hashlib.sha256(_SECRET + f"{repository.name} {sha}".encode()).hexdigest()[:29].upper()


def _packed(repository: Repository, ref: str) -> Reply:
    commit = model.find_commit(repository, ref)
    if commit.sources is None or not Path(commit.sources).is_dir():
        raise _not_found()
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


def _page(items: list[Any], query: Mapping[str, str], url: str) -> tuple[list[Any], dict[str, str]]:
    size = min(100, int(query.get("per_page", 30)))
    number = int(query.get("page", 1))
    rest = len(items) > number * size
    link = {"Link": f'<{url}?per_page={size}&page={number + 1}>; rel="next"'} if rest else {}
    return items[(number - 1) * size : number * size], link


def _not_found() -> Refused:
    return Refused(404, "", "Not Found")


def _error(refused: Refused) -> Reply:
    body = {"message": str(refused), "documentation_url": DOCUMENTATION, "status": str(refused.status)}
    return Reply(status=refused.status, body=body)


def _limited(reply: Reply, reader: model.Token | None = None) -> Reply:
    """With the headers that every answer has."""
    reset = str(int(time.time()) // 3600 * 3600 + 3600)
    headers = {"x-ratelimit-limit": str(HOURLY), "x-ratelimit-remaining": str(HOURLY - 1), "x-ratelimit-reset": reset}
    if reader is not None and reader.scopes is not None:
        headers["x-oauth-scopes"] = reader.scopes
    return Reply(
        status=reply.status, body=reply.body, headers={**headers, **reply.headers}, content_type=reply.content_type
    )


def _failure(switch: Switch) -> Reply:
    """What a client gets where a switch says so: 403 and 429 are GitHub's two ways to say that it was too much.

    The code ``primary`` is the limit of an hour, which says when it ends and not how long to wait.
    """
    status = switch.status or 500
    if status in (403, 429):
        wait = switch.retry_after or 1
        if switch.code == "primary":
            reply = _error(Refused(status, "", "API rate limit exceeded for user ID 1."))
            headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) + wait)}
        else:
            reply = _error(Refused(status, "", "You have exceeded a secondary rate limit. Please wait a few minutes."))
            headers = {"retry-after": str(wait)}
        return Reply(status=status, body=reply.body, headers=headers)
    return _error(Refused(status, "", "Server Error"))
