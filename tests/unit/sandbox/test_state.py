# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state file, and what servers remember."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from sandbox.environment import Sandbox, default_directory, read_state
from sandbox.errors import SandboxError
from sandbox.postgres import PostgresServer, find_bindir
from sandbox.s3 import S3Server


def test_a_second_sandbox_finds_the_ports_and_passwords_of_the_first(tmp_path: Path) -> None:
    first = Sandbox(tmp_path)
    first._write_state()
    second = Sandbox(tmp_path)
    assert second.variables() == first.variables()


def test_two_sandboxes_share_no_password(tmp_path: Path) -> None:
    assert Sandbox(tmp_path / "a").postgres.password != Sandbox(tmp_path / "b").postgres.password


def test_the_state_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox._write_state()
    assert stat.S_IMODE(sandbox.state_file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_a_damaged_state_counts_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(content, encoding="utf-8")
    assert read_state(path) == {}


def test_a_state_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"schema": 99}', encoding="utf-8")
    with pytest.raises(SandboxError, match="remove"):
        read_state(path)


def test_the_directory_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOKS_SANDBOX_DIR", str(tmp_path))
    assert default_directory() == tmp_path
    monkeypatch.setenv("RUNBOOKS_SANDBOX_DIR", "")
    assert default_directory().name == ".sandbox"


def test_a_sandbox_without_s3_says_nothing_of_it(tmp_path: Path) -> None:
    names = Sandbox(tmp_path, s3=False).variables()
    assert "PGHOST" in names
    assert not [name for name in names if "S3" in name or name.startswith("AWS_")]


def test_stopping_what_never_ran_does_nothing(tmp_path: Path) -> None:
    assert Sandbox(tmp_path / "none").down() is False
    assert not (tmp_path / "none").exists()


def test_clients_get_every_variable(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    variables = sandbox.variables()
    assert variables["PGPASSWORD"] == variables["RUNBOOKS_SANDBOX_POSTGRES_PASSWORD"] == sandbox.postgres.password
    assert variables["AWS_ENDPOINT_URL"] == variables["RUNBOOKS_SANDBOX_S3_ENDPOINT_URL"] == sandbox.s3.endpoint_url
    assert sandbox.s3.secret_key in variables.values()


def test_s3_keeps_to_loopback(tmp_path: Path) -> None:
    settings = S3Server(tmp_path).settings()
    assert settings["GATEWAY_LISTEN"].startswith("127.0.0.1:")
    assert settings["GATEWAY_SERVER"] == "hypercorn"


def test_postgres_keeps_to_loopback(tmp_path: Path) -> None:
    assert PostgresServer(tmp_path).settings()["listen_addresses"] == "127.0.0.1"


def test_no_unix_socket_where_its_path_would_be_too_long(tmp_path: Path) -> None:
    assert PostgresServer(Path("/short")).settings()["unix_socket_directories"] == "/short"
    assert PostgresServer(tmp_path / ("x" * 120)).settings()["unix_socket_directories"] == ""


def test_settings_come_from_the_caller_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOKS_SANDBOX_LOG_STATEMENTS", "1")
    monkeypatch.delenv("RUNBOOKS_SANDBOX_DURABLE", raising=False)
    assert PostgresServer(tmp_path).settings()["log_statement"] == "all"
    assert PostgresServer(tmp_path, log_statements=False).settings()["log_statement"] == "none"
    assert PostgresServer(tmp_path).settings()["fsync"] == "off"
    assert PostgresServer(tmp_path, durable=True).settings()["fsync"] == "on"


def test_urls_quote_what_needs_it(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path)
    server.recall({"port": 5, "password": "p@ss"})
    assert server.url("my db/1") == "postgresql://postgres:p%40ss@127.0.0.1:5/my%20db%2F1"


def test_data_of_another_version_are_refused(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path, version="18")
    (server.data / "global").mkdir(parents=True)
    (server.data / "global" / "pg_control").touch()
    (server.data / "PG_VERSION").write_text("15\n", encoding="ascii")
    with pytest.raises(SandboxError, match="PostgreSQL 15, not 18"):
        server._make_data()


@pytest.mark.parametrize(("system", "machine"), [("win32", "x86_64"), ("linux", "riscv64")])
def test_a_platform_without_binaries_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    monkeypatch.setattr("sandbox.postgres.CHECKOUT", tmp_path)
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    with pytest.raises(SandboxError, match=f"No PostgreSQL binaries exist for {system} on {machine}"):
        find_bindir("18")


def test_missing_programs_are_named_with_the_command_that_installs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.postgres.CHECKOUT", tmp_path)
    with pytest.raises(SandboxError, match="run `make setup`"):
        find_bindir("18")


def test_an_unknown_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="no PostgreSQL 9"):
        assert PostgresServer(tmp_path, version="9").bindir
