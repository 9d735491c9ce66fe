# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of the tests that run against real servers.

Servers live as long as the session (one set per worker of pytest-xdist) and are started when first asked for;
databases, prefixes and directories are fresh for each test. Nothing here replaces a part of the collection: modules and
playbooks run as children, as a user runs them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from harness.children import left_behind
from harness.modules import ModuleRunner
from harness.playbooks import PlaybookRunner
from harness.servers import (
    Database,
    FileStoreAt,
    S3StoreAt,
    StoreAt,
    fresh_database,
    fresh_file_store,
    fresh_s3_store,
    s3_client,
)
from harness.vercel import ProjectAt, fresh_project

if TYPE_CHECKING:
    from sandbox import PostgresServer, S3Server, Sandbox
    from sandbox.vercel import VercelServer


#: Parts that take minutes: they begin first, so that no worker is left alone with one of them at the end.
LONG = (
    "test_canary.py playbook",
    "test_playbooks_deploy.py",
    "test_playbooks_rotate.py",
    "test_canary.py",
    "test_playbooks.py",
    "test_playbooks_apps.py",
    "test_release_killed.py",
    "test_artifact.py",
    "test_bench.py",
    "test_store_s3.py",
)


def part(nodeid: str) -> str:
    """What one worker runs: a file, since its tests share servers, but the longest one in halves."""
    file, _colons, test = nodeid.partition("::")
    name = Path(file).name
    return f"{name} playbook" if name == "test_canary.py" and test.startswith("test_a_playbook") else name


class Parts(LoadScopeScheduling):
    """Parts go to the workers in the order of the collection."""

    def _split_scope(self, nodeid: str) -> str:
        return part(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Parts | None:
    """Ours where ``tests/run/system`` asks for it."""
    return Parts(config, log) if config.getoption("dist") == "loadscope" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long parts first; a session of a single worker has no need of it, and no harm."""
    items.sort(key=lambda item: LONG.index(part(item.nodeid)) if part(item.nodeid) in LONG else len(LONG))


@pytest.fixture(autouse=True)
def _nothing_left_running() -> Iterator[None]:
    """No child of a test outlives it, however that was killed."""
    yield
    assert not left_behind()


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """PostgreSQL 18 and S3 on loopback."""
    from sandbox import Sandbox

    with Sandbox(tmp_path_factory.mktemp("sandbox"), postgres="18") as started:
        yield started


@pytest.fixture(scope="session")
def sandbox15(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """PostgreSQL 15 beside it, for differences of version."""
    from sandbox import Sandbox

    with Sandbox(tmp_path_factory.mktemp("sandbox15"), postgres="15", s3=False) as started:
        yield started


@pytest.fixture(scope="session")
def postgres(sandbox: Sandbox) -> PostgresServer:
    """The PostgreSQL 18 server: host, port, user, password, bindir, dsn."""
    return sandbox.postgres


@pytest.fixture(scope="session")
def postgres15(sandbox15: Sandbox) -> PostgresServer:
    """The PostgreSQL 15 server."""
    return sandbox15.postgres


@pytest.fixture(scope="session")
def s3(sandbox: Sandbox) -> S3Server:
    """The S3 server: endpoint_url, access_key, secret_key, bucket."""
    return sandbox.s3


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[Database]:
    """A fresh, empty database on PostgreSQL 18; what a test restores beside it under ``<name>...`` goes with it."""
    with fresh_database(postgres) as made:
        yield made


@pytest.fixture
def database15(postgres15: PostgresServer) -> Iterator[Database]:
    """A fresh, empty database on PostgreSQL 15."""
    with fresh_database(postgres15) as made:
        yield made


@pytest.fixture
def make_database(postgres: PostgresServer) -> Iterator[Callable[[], Database]]:
    """As many fresh databases on PostgreSQL 18 as a test needs."""
    with ExitStack() as made:
        yield lambda: made.enter_context(fresh_database(postgres))


@pytest.fixture
def bucket(s3: S3Server) -> str:
    """A fresh bucket's name."""
    name = f"t-{secrets.token_hex(6)}"
    s3_client(s3).create_bucket(Bucket=name)
    return name


@pytest.fixture
def s3_store(s3: S3Server) -> S3StoreAt:
    """A store below a fresh prefix of the sandbox's bucket."""
    return fresh_s3_store(s3, s3.bucket)


@pytest.fixture
def file_store(tmp_path: Path) -> FileStoreAt:
    """A store in a fresh directory."""
    return fresh_file_store(tmp_path / "store")


@pytest.fixture(params=["s3", "file"])
def store(request: pytest.FixtureRequest) -> StoreAt:
    """Both kinds of store, one after the other: a test that takes this runs twice."""
    made: StoreAt = request.getfixturevalue(f"{request.param}_store")
    return made


@pytest.fixture(scope="session")
def vercel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VercelServer]:
    """The stand-in for Vercel: api_url, token, and what sets its stage."""
    from sandbox.vercel import VercelServer

    with VercelServer(tmp_path_factory.mktemp("vercel")) as started:
        yield started


@pytest.fixture
def vercel_project(vercel: VercelServer) -> Iterator[ProjectAt]:
    """A project with a history, in a team of its own; fault switches are off before and after."""
    vercel.faults()
    vercel.forget()
    yield fresh_project(vercel)
    vercel.faults()


@pytest.fixture
def run_module(tmp_path: Path) -> ModuleRunner:
    """``run_module(name, args, check=, diff=, env=, through="file"|"ansible")``; see ``harness.modules``."""
    return ModuleRunner(tmp_path / "home")


@pytest.fixture
def run_playbook(tmp_path: Path) -> PlaybookRunner:
    """``run_playbook(name, inventory=, extra_vars=, check=, limit=, env=)``; see ``harness.playbooks``."""
    return PlaybookRunner(tmp_path / "home")
