# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is told what by a runbook: a webhook of failure and recovery, a heartbeat of each complete backup."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from harness.playbooks import PlaybookRunner, Played
from harness.servers import Database, FileStoreAt


class Listener:
    """A server on loopback that keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.beats = 0
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.messages.append(json.loads(body)["text"])
                self._answer()

            def do_GET(self) -> None:
                listener.beats += 1
                self._answer()

            def _answer(self) -> None:
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Its address; the path is as secret as Slack's."""
        return f"http://127.0.0.1:{self.server.server_port}/s3cr3t-p4th"


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Listens until the test ends."""
    made = Listener()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_failure_recovery_and_heartbeat(
    run_playbook: PlaybookRunner, database: Database, file_store: FileStoreAt, listener: Listener
) -> None:
    variables = {
        "runbooks_environment": "test",
        "runbooks_store": file_store.url,
        "runbooks_postgres_bindir": [str(database.server.bindir)],
        "runbooks_webhook_url": listener.url,
        "runbooks_heartbeat_url": listener.url,
    }

    def run(runbook: str, url: str, **options: Any) -> Played:
        hosts = {"main": {"database_url": url}}
        inventory = {"all": {"vars": variables, "children": {"databases": {"hosts": hosts}}}}
        return run_playbook(f"ops.runbooks.{runbook}", inventory=inventory, **options)

    gone = database.sibling("no_such_database").url
    run("backup", gone, check=True).red()
    assert (listener.messages, listener.beats) == ([], 0), "check mode tells nobody"

    failed = run("backup", gone, verbosity=3).red()
    assert len(listener.messages) == 1
    assert listener.messages[0].startswith("test/main: backup failed (database_missing).")
    assert "Next: ansible-playbook ops.runbooks.backup" in listener.messages[0]
    assert listener.beats == 0, "there is no complete backup"
    assert "s3cr3t-p4th" not in failed.output

    recovered = run("backup", database.url).ok()
    assert len(listener.messages) == 2
    assert "works again" in listener.messages[1]
    assert listener.beats == 1

    again = run("backup", database.url).ok()
    assert len(listener.messages) == 2
    assert listener.beats == 2, "the day's backup is there"
    assert again.recap["main"]["changed"] == 0
    assert recovered.recap["main"]["changed"] == 1, "the backup; a message changes nothing"

    run("status", database.url, extra_vars={"runbooks_rpo": "0s"}).red()
    assert listener.messages[2].startswith("test/main: status failed")
    run("restore", database.url).ok()
    assert listener.beats == 2, "only backups are heartbeats"


def test_nobody_listens(run_playbook: PlaybookRunner, database: Database, file_store: FileStoreAt) -> None:
    """A webhook that is down does not turn a green run red, nor hide why a run is red."""
    variables = {
        "runbooks_environment": "test",
        "runbooks_store": file_store.url,
        "runbooks_postgres_bindir": [str(database.server.bindir)],
        "runbooks_webhook_url": "http://127.0.0.1:9/s3cr3t-p4th",
        "runbooks_heartbeat_url": "http://127.0.0.1:9/s3cr3t-p4th",
    }
    for url, status in ((database.sibling("no_such_database").url, 2), (database.url, 0)):
        hosts = {"main": {"database_url": url}}
        inventory = {"all": {"vars": variables, "children": {"databases": {"hosts": hosts}}}}
        played = run_playbook("ops.runbooks.backup", inventory=inventory)
        assert played.status == status, played.output
        assert "Newest good backup:" in played.output
        assert "s3cr3t-p4th" not in played.output
