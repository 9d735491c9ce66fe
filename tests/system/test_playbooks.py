# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbooks as a user runs them: preflight, backup, restore, status; what they print, and how they end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from harness.children import left_behind, until
from harness.modules import ModuleRunner
from harness.paths import CHECKOUT, PLAYBOOKS
from harness.playbooks import PlaybookRunner, Played
from harness.servers import Database, FileStoreAt, S3StoreAt, StoreAt, fresh_s3_store
from sandbox import S3Server
from sandbox.faults import FaultProxy, deny

RUNBOOKS = ("preflight", "backup", "restore", "status")
#: Every launch input as AWX sends a survey that nobody has filled in.
UNANSWERED = dict.fromkeys(
    (
        "backup",
        "at",
        "restore_id",
        "target_database",
        "source_environment",
        "confirm",
        "reason",
        "adopt",
        "path",
        "sha256",
    ),
    "",
)
LINES = ("Result:", "Changed:", "Production affected:", "Newest good backup:", "Lock:", "Next:")


def environment(store: StoreAt, **hosts: Database | dict[str, Any]) -> dict[str, Any]:
    """An inventory: each host is a database of a test, or whatever variables it shall have."""
    settings = {f"runbooks_store_{name}": value for name, value in store.args.items() if name != "store"}
    described = {
        name: {"database_url": each.url} if isinstance(each, Database) else each for name, each in hosts.items()
    }
    bindir = [str(each.server.bindir) for each in hosts.values() if isinstance(each, Database)][:1]
    variables = {"runbooks_environment": "test", "runbooks_store": store.url, "runbooks_postgres_bindir": bindir}
    return {"all": {"vars": variables | settings, "children": {"databases": {"hosts": described}}}}


def closing_lines(played: Played) -> dict[str, list[str]]:
    """Host to the lines with which it ended, however ansible shows results."""
    text = played.finished.stdout
    last = text[text.rindex("TASK [ops.runbooks.record : How it ended]") : text.rindex("PLAY RECAP")]
    as_json = re.findall(r"^ok: \[(\S+)\] => (\{.*?^\})", last, re.MULTILINE | re.DOTALL)
    as_yaml = re.findall(r"^ok: \[(\S+)\] => ?\n    msg: \|-\n((?: {8}.*\n)+)", last, re.MULTILINE)
    shown = {host: json.loads(body)["msg"] for host, body in as_json}
    return shown | {host: [line.strip() for line in body.splitlines()] for host, body in as_yaml}


def lines_of(played: Played, host: str = "main") -> str:
    """The six lines of a host as one text; asserts that they are the six, and the last thing before the recap."""
    lines = closing_lines(played)[host]
    assert tuple(line[: len(label)] for line, label in zip(lines, LINES, strict=True)) == LINES
    return "\n".join(lines)


@pytest.fixture
def filled(database: Database) -> Database:
    """A database with three accounts."""
    database.execute("CREATE TABLE account (id int PRIMARY KEY, email text)")
    database.execute("INSERT INTO account SELECT n, n || '@example.com' FROM generate_series(1, 3) AS n")
    return database


@pytest.fixture
def backed_up(filled: Database, file_store: FileStoreAt, run_module: ModuleRunner) -> FileStoreAt:
    """A store with a backup of that database; the module makes it in a tenth of the runbook's time."""
    named = {"environment": "test", "name": "main", "backup_id": "before"}
    run_module("postgres_backup", {**filled.args, **file_store.args, **named}).ok()
    return file_store


def test_the_whole_job(run_playbook: PlaybookRunner, filled: Database, s3_store: S3StoreAt) -> None:
    """From the first preflight to a restore, each command twice. In files it is what most tests below do."""
    store = s3_store
    inventory = environment(store, main=filled)
    restored = filled.sibling(f"{filled.name}_restored")
    inputs = {"backup": "latest", "target_database": restored.name}

    first = run_playbook("ops.runbooks.preflight", inventory=inventory).ok()
    assert "there is no backup yet" in first.output
    assert re.search(r"costs +ready +not known before the first backup", first.output)
    tried = run_playbook("ops.runbooks.backup", inventory=inventory, check=True, diff=True).ok()
    assert "would" in lines_of(tried)
    assert "Irreversible: nothing" in tried.output
    assert tried.recap["main"]["changed"] == 1
    assert store.keys() == [], "neither preflight nor check mode writes"

    made = run_playbook("ops.runbooks.backup", inventory=inventory).ok()
    assert made.recap["main"]["changed"] == 1
    assert re.search(r"3 rows, 1 table, [0-9.]+ KiB$", lines_of(made), re.MULTILINE)
    again = run_playbook("ops.runbooks.backup", inventory=inventory).ok()
    assert again.recap["main"]["changed"] == 0
    assert "Result: nothing to do" in lines_of(again)

    listed = run_playbook("ops.runbooks.restore", inventory=inventory).ok()
    assert listed.recap["main"]["changed"] == 0
    assert re.search(r"daily-\S+ .* [0-9.]+ KiB  complete", listed.output), listed.output
    assert re.search(
        r"Next: .*restore -i \S+ --limit main -e backup=daily-\S+ -e target_database=\S+", lines_of(listed)
    )
    ready = run_playbook("ops.runbooks.preflight", inventory=inventory).ok()
    assert "would be restored with pg_restore" in ready.output
    assert re.search(r"costs +ready +a backup takes about .* 30 of them, .* the only backup", ready.output)

    before = store.keys()
    run_playbook("ops.runbooks.restore", inventory=inventory, extra_vars=inputs, check=True).ok()
    assert store.keys() == before
    done = run_playbook("ops.runbooks.restore", inventory=inventory, extra_vars=inputs).ok()
    assert done.recap["main"]["changed"] == 1
    assert restored.rows("SELECT * FROM account ORDER BY 1") == filled.rows("SELECT * FROM account ORDER BY 1")
    assert (
        run_playbook("ops.runbooks.restore", inventory=inventory, extra_vars=inputs).ok().recap["main"]["changed"] == 0
    )

    status = run_playbook("ops.runbooks.status", inventory=inventory).ok()
    assert re.search(r"Newest good backup: daily-\S+, .* complete", lines_of(status))
    assert "Lock: free" in lines_of(status)


def test_a_protected_environment_is_warned_of_a_bare_bucket(
    run_playbook: PlaybookRunner, filled: Database, s3: S3Server, bucket: str
) -> None:
    store = fresh_s3_store(s3, bucket)
    inventory = environment(store, main=filled)
    inventory["all"]["vars"]["runbooks_protected"] = True
    bare = run_playbook("ops.runbooks.preflight", inventory=inventory).ok()
    assert re.search(r"store +WARNING +versions are kept: no; Object Lock: no\. Whoever may write", bare.output)
    assert "encryption asked for: sse-s3" in bare.output
    store.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    with FaultProxy(s3.endpoint_url) as proxy:
        proxy.rules.append(deny("s3:GetObjectLockConfiguration"))
        inventory["all"]["vars"]["runbooks_store_endpoint_url"] = proxy.endpoint_url
        kept = run_playbook("ops.runbooks.preflight", inventory=inventory).ok()
    assert re.search(r"store +ready +versions are kept: yes; Object Lock: not known \(s3:GetBucketObj", kept.output)


def test_encryption_is_asked_for_where_the_service_may_not_encrypt(
    run_playbook: PlaybookRunner, tmp_path: Path
) -> None:
    """Amazon S3 always does, by the bucket's own setting, which a request would override."""
    amazon = "https://bucket.vpce-1a2b.s3.eu-central-1.vpce.amazonaws.com"
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({}, "none"),
        ({"runbooks_store_endpoint_url": amazon}, "none"),
        ({"runbooks_store_endpoint_url": "https://s3.cn-north-1.amazonaws.com.cn:443"}, "none"),
        ({"runbooks_store_endpoint_url": "https://minio.example:9000"}, "sse-s3"),
        ({"runbooks_store_endpoint_url": "https://amazonaws.com.example"}, "sse-s3"),
        ({"runbooks_store_endpoint_url": "https://minio.example", "runbooks_protected": False}, "none"),
        ({"runbooks_store_endpoint_url": "https://minio.example", "runbooks_store": "file:///x"}, "none"),
        ({"runbooks_store_encryption": "sse-kms"}, "sse-kms"),
    )
    settled = {"runbooks_protected": True, "runbooks_store": "s3://acme", "runbooks_store_addressing_style": "auto"}
    tasks = [
        {
            "ansible.builtin.assert": {"that": f"_runbooks_options.store_encryption == '{wanted}'"},
            "vars": {**settled, "runbooks_environment": "production", **given},
        }
        for given, wanted in cases
    ]
    variables = str(PLAYBOOKS.parent / "roles" / "runbooks" / "vars" / "main.yml")
    play = {"hosts": "localhost", "gather_facts": False, "vars_files": [variables], "tasks": tasks}
    (tmp_path / "probe.yml").write_text(json.dumps([play]), encoding="utf-8")
    played = run_playbook(str(tmp_path / "probe.yml"), inventory="localhost,", cwd=tmp_path).ok()
    assert played.recap["localhost"]["ok"] == len(cases)

    tasks[:] = [{**tasks[0], "ansible.builtin.assert": {"that": "_runbooks_options.store_encryption == 'sse-s3'"}}]
    (tmp_path / "probe.yml").write_text(json.dumps([play]), encoding="utf-8")
    elsewhere = {"AWS_ENDPOINT_URL": "https://minio.example"}
    run_playbook(str(tmp_path / "probe.yml"), inventory="localhost,", cwd=tmp_path, env=elsewhere).ok()


@pytest.mark.parametrize(("runbook", "check"), [("preflight", False), ("backup", True), ("restore", False)])
def test_a_survey_without_answers_is_a_run_without_inputs(
    run_playbook: PlaybookRunner, filled: Database, file_store: FileStoreAt, runbook: str, check: bool
) -> None:
    """``test_awx_shape.py`` has backup and status as AWX itself starts them."""
    inventory = environment(file_store, main=filled)
    played = run_playbook(
        f"ops.runbooks.{runbook}", inventory=inventory, extra_vars=UNANSWERED, check=check, diff=check
    )
    lines_of(played.ok())


def test_the_lines_can_be_read_however_results_are_shown(
    run_playbook: PlaybookRunner, filled: Database, file_store: FileStoreAt
) -> None:
    """The others read YAML, for which ``ansible.cfg`` of the checkout asks."""
    env = {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    lines = lines_of(run_playbook("ops.runbooks.backup", inventory=environment(file_store, main=filled), env=env).ok())
    assert re.search(r"^Newest good backup: daily-\S+, \d+ s old, complete", lines, re.MULTILINE)


@pytest.mark.parametrize("adopt", ["no", True])
def test_a_choice_may_be_text_or_a_boolean(
    run_playbook: PlaybookRunner, filled: Database, file_store: FileStoreAt, adopt: object
) -> None:
    inputs = {"adopt": adopt, "backup": 20261120}
    played = run_playbook("ops.runbooks.backup", inventory=environment(file_store, main=filled), extra_vars=inputs)
    assert "made backup 20261120" in lines_of(played.ok())


@pytest.mark.parametrize("runbook", RUNBOOKS)
def test_a_path_is_as_good_as_a_name(
    run_playbook: PlaybookRunner, filled: Database, backed_up: FileStoreAt, runbook: str, tmp_path: Path
) -> None:
    inventory = environment(backed_up, main=filled)
    run_playbook(str(PLAYBOOKS / f"{runbook}.yml"), inventory=inventory, cwd=tmp_path).ok()


@pytest.mark.parametrize("env", [{}, {"ANSIBLE_ANY_ERRORS_FATAL": "true", "ANSIBLE_STRATEGY": "free"}])
def test_one_database_that_fails_does_not_stop_the_others(
    run_playbook: PlaybookRunner, filled: Database, file_store: FileStoreAt, env: dict[str, str]
) -> None:
    gone = filled.sibling("no_such_database")
    inventory = environment(file_store, broken=gone, main=filled)
    played = run_playbook("ops.runbooks.backup", inventory=inventory, env=env).red()
    assert "Result: done" in lines_of(played, "main")
    assert "Result: failed (database_missing): Could not connect" in lines_of(played, "broken")
    assert "Next: ansible-playbook ops.runbooks.backup" in lines_of(played, "broken")
    assert "--limit broken" in lines_of(played, "broken")
    assert "Failed (database_missing). The six lines at the end say why" in played.output, "and not the reason again"
    assert played.recap["main"]["failed"] == 0
    assert played.recap["broken"]["failed"] == 1
    asked = run_playbook("ops.runbooks.preflight", inventory=inventory).red()
    assert re.search(r"backup +NOT READY +Could not connect", asked.output)
    assert "Result: failed (not_ready): Could not count on" in lines_of(asked, "broken")
    assert re.search(r"backup +ready", asked.output)


def test_a_variable_that_is_given_but_empty_is_refused(
    run_playbook: PlaybookRunner, filled: Database, file_store: FileStoreAt
) -> None:
    names = ("database_url", "database_host", "database_password", "runbooks_store_profile")
    empty = "{{ lookup('ansible.builtin.env', 'NOT_SET_ANYWHERE') }}"
    hosts = {name: {"database_url": filled.url} | {name: empty} for name in names}
    inventory = environment(file_store, **hosts)
    inventory["all"]["vars"]["runbooks_postgres_bindir"] = [str(filled.server.bindir)]
    played = run_playbook("ops.runbooks.backup", inventory=inventory, env={"DATABASE_URL": filled.url}).red()
    for name in names:
        assert f"Could not use {name} ({name}): it is given but empty." in lines_of(played, name)
    assert not file_store.keys()


def test_the_environment_describes_the_only_database(
    run_playbook: PlaybookRunner, filled: Database, file_store: FileStoreAt
) -> None:
    inventory = environment(file_store, main={})
    inventory["all"]["vars"]["runbooks_postgres_bindir"] = [str(filled.server.bindir)]
    assert "Result: done" in lines_of(
        run_playbook("ops.runbooks.backup", inventory=inventory, env={"DIRECT_URL": filled.url})
    )
    inventory["all"]["children"]["databases"]["hosts"]["other"] = {}
    # A limit does not make it the only one.
    played = run_playbook("ops.runbooks.backup", inventory=inventory, env={"DIRECT_URL": filled.url}, limit="main")
    assert "Could not tell how to reach the database (main)" in lines_of(played.red())


def test_status_is_red_without_a_young_backup(
    run_playbook: PlaybookRunner, filled: Database, file_store: FileStoreAt, request: pytest.FixtureRequest
) -> None:
    inventory = environment(file_store, main=filled)
    inventory["all"]["children"]["apps"] = {"hosts": {"web": {}}}
    never = run_playbook("ops.runbooks.status", inventory=inventory).red()
    assert "Newest good backup: NONE" in never.output
    assert "Next: ansible-playbook ops.runbooks.backup" in never.output
    assert "Newest good backup: none is expected" in lines_of(never, "web"), "the apps are looked at all the same"
    assert (never.recap["main"]["failed"], never.recap["main"]["changed"]) == (1, 0)
    del inventory["all"]["children"]["apps"]
    request.getfixturevalue("backed_up")
    lines_of(run_playbook("ops.runbooks.status", inventory=inventory).ok())
    late = run_playbook("ops.runbooks.status", inventory=inventory, extra_vars={"runbooks_rpo": "0s"}).red()
    assert "OLDER" in lines_of(late)
    assert lines_of(late).startswith("Result: failed (rpo_exceeded): Could not restore what was written")
    assert "older than the 0s that are allowed" in late.output
    assert lines_of(late).endswith(" -e runbooks_rpo=0s"), "the next command keeps settings of this one"


def test_inputs_that_do_not_belong_together(
    run_playbook: PlaybookRunner, filled: Database, file_store: FileStoreAt
) -> None:
    cases: dict[str, tuple[dict[str, str], str]] = {
        "target": ({"target_database": "x"}, "none says which backup"),
        "id": ({"restore_id": "x"}, "none says which backup"),
        "backup": ({"backup": "latest"}, "Add -e target_database=backup_restored"),
        "path": ({"path": "app.dump"}, "Add -e target_database=path_restored"),
        "both": ({"path": "app.dump", "backup": "latest"}, "Give either path, or backup"),
        "sum": ({"sha256": "0" * 64}, "Add -e path="),
    }
    hosts = {name: {"database_url": filled.url, **inputs} for name, (inputs, _said) in cases.items()}
    inventory = environment(file_store, **hosts)
    inventory["all"]["vars"]["runbooks_postgres_bindir"] = [str(filled.server.bindir)]
    played = run_playbook("ops.runbooks.restore", inventory=inventory).red()
    for name, (_inputs, said) in cases.items():
        result = lines_of(played, name).splitlines()[0]
        assert f"Result: failed (run_refused): Could not restore ({name})" in result
        assert said in result


def test_a_dump_that_is_no_backup_is_restored(
    run_playbook: PlaybookRunner, filled: Database, file_store: FileStoreAt, tmp_path: Path
) -> None:
    """Its path is taken from where the command was given; the second run does nothing."""
    dump = tmp_path / "old app.dump"
    argv = [str(filled.server.bindir / "pg_dump"), "--format=custom", f"--file={dump}", f"--dbname={filled.url}"]
    subprocess.run(argv, check=True)
    inventory = environment(file_store, main=filled)
    restored = filled.sibling(f"{filled.name}_old")
    inputs = {"path": os.path.relpath(dump, CHECKOUT), "target_database": restored.name, "backup": "", "at": ""}
    done = run_playbook("ops.runbooks.restore", inventory=inventory, extra_vars=inputs).ok()
    assert "3 rows in 1 table, with nothing to compare them with" in lines_of(done)
    assert restored.rows("SELECT * FROM account ORDER BY 1") == filled.rows("SELECT * FROM account ORDER BY 1")
    again = run_playbook("ops.runbooks.restore", inventory=inventory, extra_vars=inputs).ok()
    assert again.recap["main"]["changed"] == 0


def test_a_part_of_a_database_is_what_counts_where_that_is_backed_up(
    run_playbook: PlaybookRunner, filled: Database, backed_up: FileStoreAt
) -> None:
    """No hash has to be copied from anywhere: the settings that choose the part also find its backups."""
    inventory = environment(backed_up, main=filled)
    inventory["all"]["vars"]["backup_tables"] = ["account"]
    assert "Newest good backup: NONE" in lines_of(run_playbook("ops.runbooks.status", inventory=inventory).red())
    run_playbook("ops.runbooks.backup", inventory=inventory, extra_vars={"backup_id": "part"}).ok()
    assert "Newest good backup: part" in lines_of(run_playbook("ops.runbooks.status", inventory=inventory).ok())
    assert "part" in run_playbook("ops.runbooks.restore", inventory=inventory).ok().output


def test_status_needs_no_database_but_a_store(
    run_playbook: PlaybookRunner, filled: Database, backed_up: FileStoreAt
) -> None:
    inventory = environment(backed_up, main=filled)
    inventory["all"]["children"]["databases"]["hosts"]["main"]["database_url"] = ""
    run_playbook("ops.runbooks.status", inventory=inventory).ok()
    nowhere = run_playbook(
        "ops.runbooks.status", inventory=inventory, extra_vars={"runbooks_store": "file:///nowhere/at/all"}
    )
    assert "Newest good backup: unknown" in lines_of(nowhere.red())


def test_no_secret_is_printed(run_playbook: PlaybookRunner, filled: Database, s3_store: S3StoreAt) -> None:
    """Green and red, as loud as ansible gets."""
    inventory = environment(s3_store, main=filled)
    hosts = inventory["all"]["children"]["databases"]["hosts"]
    hosts["wrong"] = {"database_url": filled.url.replace(filled.server.password, "wr0ng/p%40ss+word")}
    played = run_playbook("ops.runbooks.backup", inventory=inventory, verbosity=4, diff=True).red()
    assert played.recap["main"]["failed"] == 0
    for secret in (filled.server.password, s3_store.server.secret_key, "wr0ng/p%40ss+word", "wr0ng/p@ss+word"):
        assert secret not in played.output


def test_a_lock_that_is_held_and_a_run_that_is_killed(
    run_playbook: PlaybookRunner, filled: Database, file_store: FileStoreAt
) -> None:
    """The second run says who holds the lock; status says what became of the first; the same command then goes on."""
    inventory = environment(file_store, main=filled)
    inventory["all"]["vars"]["runbooks_lock_lease"] = "6s"
    with filled.connect() as blocker:
        blocker.execute("BEGIN")
        blocker.execute("LOCK TABLE account IN ACCESS EXCLUSIVE MODE")
        first = run_playbook.start("ops.runbooks.backup", inventory=inventory)
        until(lambda: file_store.keys("test/runs/"))
        second = run_playbook("ops.runbooks.backup", inventory=inventory).red()
        first.kill_group()
        assert left_behind(patience=0), "the module outlives ansible-playbook for a moment; here it is killed as well"
        first.wait()
    assert "Result: failed (lock_held)" in lines_of(second)
    assert "Lock: held by" in lines_of(second)
    time.sleep(6)
    status = run_playbook("ops.runbooks.status", inventory=inventory).red()
    assert "interrupted" in lines_of(status)
    assert "Next: ansible-playbook ops.runbooks.backup" in lines_of(status)
    assert "Result: done" in lines_of(run_playbook("ops.runbooks.backup", inventory=inventory).ok())
