# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real servers that were killed, damaged or raced for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest

from sandbox import Sandbox, processes, sample
from sandbox.__main__ import main
from sandbox.faults import Fault, FaultProxy, without_conditional_writes
from sandbox.service import CHECKOUT


def command(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m sandbox`` as a person runs it."""
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments],
        cwd=CHECKOUT,
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "RUNBOOKS_SANDBOX_DIR": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )


def mark(sandbox: Sandbox) -> None:
    """Leave something that tells these data from new ones."""
    with psycopg.connect(sandbox.postgres.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS mark AS SELECT 1 AS n; CHECKPOINT")


def marked(sandbox: Sandbox) -> bool:
    with psycopg.connect(sandbox.postgres.dsn) as connection:
        return connection.execute("SELECT to_regclass('mark') IS NOT NULL").fetchone() == (True,)


def postmaster(sandbox: Sandbox) -> psutil.Process:
    (found,) = processes.roots(sandbox.postgres.processes())
    return found


def test_starts_twice_and_stops_without_a_trace(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, s3=False)
    try:
        assert sandbox.up() is True
        assert sandbox.up() is False
        assert sandbox.running
    finally:
        assert sandbox.down() is True
    assert sandbox.postgres.processes() == []
    assert sandbox.down() is False


def test_a_killed_server_comes_back_with_its_data_port_and_password(tmp_path: Path) -> None:
    with Sandbox(tmp_path, s3=False) as sandbox:
        mark(sandbox)
        dsn = sandbox.postgres.dsn
        postmaster(sandbox).kill()
        again = Sandbox(tmp_path, s3=False)
        assert again.up() is True
        assert again.postgres.dsn == dsn
        assert marked(again)


def test_a_stale_pid_file_with_the_pid_of_another_process_is_no_obstacle(tmp_path: Path) -> None:
    with Sandbox(tmp_path, s3=False) as sandbox:
        pid_file = sandbox.postgres.data / "postmaster.pid"
        lines = pid_file.read_text(encoding="ascii").splitlines()
        sandbox.down()
        bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        try:
            pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]), encoding="ascii")
            assert sandbox.up() is True
            assert bystander.poll() is None
        finally:
            bystander.kill()
            bystander.wait()


@pytest.mark.parametrize("damage", ["initdb was killed", "nothing in it"])
def test_a_half_made_data_directory_is_made_anew(tmp_path: Path, damage: str) -> None:
    half = tmp_path / "postgres" / ("data.unfinished" if damage == "initdb was killed" else "data")
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n", encoding="ascii")
    with Sandbox(tmp_path, s3=False) as sandbox:
        mark(sandbox)
    assert sorted(path.name for path in (tmp_path / "postgres").iterdir()) == ["data", "server.log"]


def test_a_lost_state_file_loses_no_data_and_leaves_no_process(tmp_path: Path) -> None:
    with Sandbox(tmp_path, s3=False) as sandbox:
        mark(sandbox)
        sandbox.state_file.unlink()
        stranger = Sandbox(tmp_path, s3=False)
        assert stranger.postgres.password != sandbox.postgres.password
        assert stranger.up() is True, "the running server has another port and password"
        assert marked(stranger)
        stranger.state_file.unlink()
        assert Sandbox(tmp_path, s3=False).down() is True
        assert stranger.postgres.processes() == []


def test_a_removed_directory_leaves_no_process(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path / "gone", s3=False)
    sandbox.up()
    shutil.rmtree(sandbox.directory)
    assert Sandbox(tmp_path / "gone", s3=False).down() is True
    assert sandbox.postgres.processes() == []


def test_two_starts_at_once_are_one(tmp_path: Path) -> None:
    try:
        with ThreadPoolExecutor() as pool:
            first, second = pool.map(lambda _n: command(tmp_path, "up"), range(2))
        assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
        assert sorted("already" in done.stdout for done in (first, second)) == [False, True]
        sandbox = Sandbox(tmp_path, stand_ins=True)
        assert len(processes.roots(sandbox.postgres.processes())) == 1
        assert len(sandbox.s3.processes()) == 1
        deployed(sandbox)
        repaired(sandbox)
        assert command(tmp_path, "database-url").stdout.startswith("postgresql://")
    finally:
        assert command(tmp_path, "down").returncode == 0
    assert command(tmp_path, "status").returncode == 1
    assert command(tmp_path, "env").returncode == 1
    assert command(tmp_path, "database-url").returncode == 1


def deployed(sandbox: Sandbox) -> None:
    """The sample application was built from its repository, and works on the sample database."""
    assert len(sandbox.vercel.processes()) == len(sandbox.github.processes()) == 1
    heard = sandbox.vercel.visit("web.localhost", "/api/selftest")
    assert (heard.status, heard.json["ok"]) == (200, True)
    assert sample.ensure(sandbox) is False
    release = heard.json["deployment"]
    sandbox.vercel.change("variables", "env_database_url", value="postgresql://elsewhere/")
    assert sample.ensure(sandbox) is True
    heard = sandbox.vercel.visit("web.localhost", "/api/health")
    assert heard.status == 200
    assert heard.json["deployment"] != release


def repaired(sandbox: Sandbox) -> None:
    """The S3 server comes back when it was killed, at its old address, with its bucket."""
    endpoint_url = sandbox.s3.endpoint_url
    for process in sandbox.s3.processes():
        process.kill()
    assert sandbox.up() is True
    assert sandbox.s3.endpoint_url == endpoint_url
    assert sandbox.s3.client().list_objects_v2(Bucket=sandbox.s3.bucket)["KeyCount"] == 0
    conditional_writes(sandbox)


def conditional_writes(sandbox: Sandbox) -> None:
    """The server refuses a second create, and the fault proxy makes it one that does not."""
    client, place = sandbox.s3.client(), {"Bucket": sandbox.s3.bucket, "Key": "once"}
    client.put_object(**place, Body=b"1", IfNoneMatch="*")
    with pytest.raises(client.exceptions.ClientError, match="PreconditionFailed"):
        client.put_object(**place, Body=b"2", IfNoneMatch="*")
    with FaultProxy(sandbox.s3.endpoint_url) as proxy:
        proxy.rules += [Fault(action="s3:PutObject", times=1, status=503), without_conditional_writes()]
        proxied = sandbox.s3.client(endpoint_url=proxy.endpoint_url)
        proxied.put_object(**place, Body=b"3", IfNoneMatch="*")
        assert proxied.get_object(**place)["Body"].read() == b"3"
        assert proxy.count(action="s3:PutObject", status=503) == 1


def test_runs_a_command_with_the_servers_and_stops_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    sandbox = Sandbox(tmp_path, s3=False)
    monkeypatch.setattr("sandbox.__main__.Sandbox", lambda **_options: sandbox)
    query = ["run", "--", "sh", "-c", "psql -Atc 'SELECT 40 + 2' postgres; exit 7"]
    assert main(query) == 7
    assert capfd.readouterr() == ("42\n", "")
    assert sandbox.postgres.processes() == []
    with sandbox:
        assert main(query) == 7
        assert sandbox.running, "what ran before goes on"


def test_a_command_that_does_not_exist_starts_nothing(tmp_path: Path) -> None:
    done = command(tmp_path / "none", "run", "--", "no-such-command")
    assert (done.returncode, done.stderr) == (1, "no-such-command was not found: check its name.\n")
    assert not (tmp_path / "none").exists()
