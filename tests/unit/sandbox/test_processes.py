# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes and ports."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sandbox import processes
from sandbox.errors import SandboxError
from sandbox.postgres import PostgresServer
from sandbox.s3 import SCRIPT, S3Server

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    child = processes.spawn(SLEEP, directory=tmp_path, log=tmp_path / "log", environment=os.environ)
    yield child
    child.kill()
    child.wait()


def test_a_process_is_found_by_where_it_works(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    found = processes.find(lambda process: processes.works_in(process, tmp_path))
    assert [process.pid for process in found] == [sleeper.pid]


def test_a_process_that_has_ended_is_not_found(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    assert processes.wait_until(
        lambda: not processes.find(lambda process: processes.works_in(process, tmp_path)), seconds=10
    )


def test_a_server_outlives_the_session_that_started_it(sleeper: subprocess.Popen[bytes]) -> None:
    assert os.getsid(sleeper.pid) == sleeper.pid


def test_another_program_in_the_directory_is_left_alone(tmp_path: Path) -> None:
    """Such as the shell of a person who looks at the log."""
    s3, postgres = S3Server(tmp_path / "s3"), PostgresServer(tmp_path / "postgres")
    for server, directory in ((s3, s3.directory), (postgres, postgres.data)):
        directory.mkdir(parents=True)
        child = subprocess.Popen(SLEEP, cwd=directory)
        try:
            assert server.stop() is False
            assert child.poll() is None
        finally:
            child.kill()
            child.wait()


def test_a_server_is_recognised_by_its_program_and_its_directory(tmp_path: Path) -> None:
    here, elsewhere = S3Server(tmp_path / "s3"), S3Server(tmp_path / "other")
    here.directory.mkdir()
    child = subprocess.Popen([*SLEEP, str(SCRIPT)], cwd=here.directory)
    try:
        assert elsewhere.processes() == []
        assert here.stop() is True
        assert child.wait(timeout=10) == -signal.SIGKILL
    finally:
        child.kill()
        child.wait()


def test_roots_are_those_without_a_parent_among_them(sleeper: subprocess.Popen[bytes]) -> None:
    us, child = psutil.Process(), psutil.Process(sleeper.pid)
    assert processes.roots([us, child]) == [us]
    assert processes.roots([child]) == [child]


def test_a_port_in_use_is_not_free() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert not processes.is_free(listener.getsockname()[1])
    assert processes.is_free(processes.free_port())


def test_waiting_ends() -> None:
    assert processes.wait_until(lambda: False, seconds=0.1) is False
    assert processes.wait_until(lambda: True, seconds=0) is True


def test_the_end_of_a_log_is_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert processes.last_lines(log) == ""
    log.write_bytes(b"one\ntwo\n\xff\n")
    assert processes.last_lines(log, 2) == "two\n\N{REPLACEMENT CHARACTER}"


def test_an_ordinary_user_runs_commands_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert processes.unprivileged(["postgres"], owned=tmp_path) == ["postgres"]


def test_root_gives_up_its_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(processes, "_has_user_namespaces", lambda: True)
    assert processes.unprivileged(["postgres"], owned=tmp_path)[0] == "unshare"


def test_root_without_namespaces_hands_the_files_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    owned: list[Path] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, *_args, **_options: owned.append(path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(processes, "_has_user_namespaces", lambda: False)
    assert processes.unprivileged(["postgres"], owned=tmp_path)[:2] == ["setpriv", f"--reuid={processes.NOBODY}"]
    assert owned == [tmp_path, tmp_path / "data"]


def test_root_is_refused_where_it_cannot_give_up_its_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxError, match="ordinary user"):
        processes.unprivileged(["postgres"], owned=tmp_path)
