# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runner around operations of the tests' own: each is a module of its own process, as ansible would run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from harness.paths import COLLECTIONS

HEAD = """
from __future__ import annotations
import logging, os, sys, threading, time
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.runner import run
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC

SECRET = {"secret": {"type": "str", "no_log": True}, "number": {"type": "int"}, "run_id": {"type": "str"}}

def failure(code="server_failed", **more):
    texts = {"attempted": "do it", "object": "db:5432/app", "reason": "it said no", "remedy": "Ask again."}
    return RunbookError(code=code, **texts, **more)

class Thing(Operation):
    noun = "thing"
    spec = ArgumentSpec(options=SECRET)

    def observe(self):
        return 0

    def plan(self, state):
        return Plan(changed=True, result={"id": "one"}, steps=("make it",), irreversible=("drop it",),
                    before={"n": 0}, after={"n": 1}, warnings=("mind the gap",))

    def act(self, state, plan):
        self.context.effect("make it")
        return {"id": "one", "made": True}

class Stored(Thing):
    spec = STORE_SPEC.merge(RUN_SPEC)
"""
CANARY = "kan4ry/with 'quotes'+and=more"


def parse(stdout: str) -> dict[str, Any]:
    """A result, warnings as the texts that they are for people: modules send them with where they were raised."""
    result: dict[str, Any] = json.loads(stdout)
    if "warnings" in result:
        result["warnings"] = [each if isinstance(each, str) else each["event"]["msg"] for each in result["warnings"]]
    return result


class Module:
    """A module made of :data:`HEAD` and some more lines, and what came of running it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def start(
        self, script: str, operation: str = "Thing", *, ignoring: str = "", **given: Any
    ) -> subprocess.Popen[str]:
        """The running module; it is born with the signal ``ignoring`` (HUP) ignored."""
        path = self.directory / "thing.py"
        body = f"{HEAD}\n{textwrap.dedent(script)}\nrun({operation})\n"
        path.write_text(body, encoding="utf-8")
        trap = f"trap '' {ignoring};" if ignoring else ""
        settings = {"_ansible_remote_tmp": str(self.directory), "_ansible_module_name": "ops.runbooks.thing"}
        module = subprocess.Popen(
            ["sh", "-c", f"{trap} exec '{sys.executable}' '{path}'"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(COLLECTIONS), "ENV_PASSWORD": CANARY},
            text=True,
            start_new_session=True,
        )
        if module.stdin is not None:
            module.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": {**settings, **given}}))
            module.stdin.close()
            module.stdin = None
        return module

    def __call__(self, script: str, operation: str = "Thing", **given: Any) -> dict[str, Any]:
        """The result. Nothing else is said, and the exit status fits."""
        module = self.start(script, operation, **given)
        stdout, stderr = module.communicate(timeout=30)
        assert stderr == ""
        result = parse(stdout)
        assert module.returncode == (1 if result.get("failed") else 0)
        assert CANARY not in stdout
        return result


@pytest.fixture
def module(tmp_path: Path) -> Module:
    return Module(tmp_path)


def test_a_change(module: Module) -> None:
    result = module("", run_id="run-1")
    assert result.pop("warnings") == ["mind the gap"]
    result.pop("invocation", None)
    assert result == {
        "changed": True,
        "thing": {"id": "one", "made": True},
        "plan": {"steps": ["make it"], "irreversible": ["drop it"]},
        "run_id": "run-1",
    }


def test_check_mode_ends_with_the_plan(module: Module) -> None:
    result = module("", _ansible_check_mode=True, _ansible_diff=True)
    assert result["changed"]
    assert result["thing"] == {"id": "one"}
    assert result["diff"] == {"before": {"n": 0}, "after": {"n": 1}}
    assert result["run_id"]


def test_nothing_to_do(module: Module) -> None:
    script = """
        class Done(Thing):
            def plan(self, state):
                return Plan(changed=False, result={"id": "one"})
            def act(self, state, plan):
                raise KeyError("act was called")
    """
    assert module(script, "Done")["changed"] is False


def test_an_effect_in_check_mode_is_a_mistake_of_ours(module: Module) -> None:
    script = """
        class Hasty(Thing):
            def observe(self):
                self.context.effect("write")
    """
    result = module(script, "Hasty", _ansible_check_mode=True)
    assert result["failure"]["code"] == "internal_error"
    assert "ValueError" in result["msg"]


@pytest.mark.parametrize(
    ("where", "changed", "planned"), [("observe", False, False), ("plan", False, False), ("act", True, True)]
)
def test_a_failure(module: Module, where: str, changed: bool, planned: bool) -> None:
    script = f"""
        class Failing(Thing):
            def {where}(self, *_arguments):
                raise failure(details={{"lock": 1}})
            def context_of_failure(self):
                return {{"host": "db", "database": "app"}}
    """
    result = module(script, "Failing", run_id="run-1")
    assert result["failed"]
    assert result["msg"] == "Could not do it (db:5432/app): it said no. Ask again."
    assert result["failure"] == {
        "code": "server_failed",
        "attempted": "do it",
        "object": "db:5432/app",
        "remedy": "Ask again.",
        "lock": 1,
    }
    assert result["thing"] == {"host": "db", "database": "app"}
    assert result["run_id"] == "run-1"
    assert result["changed"] is changed
    assert ("plan" in result) is planned


def test_an_unforeseen_exception_shows_its_place_and_not_its_text(module: Module) -> None:
    script = """
        class Broken(Thing):
            def act(self, state, plan):
                raise KeyError(self.params["secret"] + " and the password of another")
    """
    result = module(script, "Broken", secret=CANARY)
    assert result["failure"]["code"] == "internal_error"
    assert "KeyError" in result["msg"]
    assert result["failure"]["trace"][-1].startswith("runner.py:")
    assert "another" not in json.dumps(result)


def test_a_library_that_is_not_installed(module: Module) -> None:
    script = """
        class Importing(Thing):
            def observe(self):
                import library_that_is_not_there.part
    """
    result = module(script, "Importing")
    assert result["failure"]["code"] == "library_missing"
    assert result["failure"]["object"] == "library_that_is_not_there"
    assert sys.executable in result["msg"]


@pytest.mark.parametrize("method", ["context_of_failure", "close"])
def test_a_second_failure_does_not_hide_the_first(module: Module, method: str) -> None:
    script = f"""
        class Failing(Thing):
            def act(self, state, plan):
                raise failure()
            def {method}(self):
                raise KeyError(self.params["secret"])
    """
    result = module(script, "Failing", secret=CANARY)
    assert result["failure"]["code"] == "server_failed"
    assert [warning for warning in result["warnings"] if "KeyError" in warning]


def test_failing_to_close_is_no_failure(module: Module) -> None:
    script = """
        class Leaving(Thing):
            def close(self):
                raise failure()
    """
    result = module(script, "Leaving")
    assert not result.get("failed")
    assert [warning for warning in result["warnings"] if "it said no" in warning]


@pytest.mark.parametrize(
    "given",
    [{"number": "seven"}, {"unknown": 1}, {"number": CANARY}, {"number": f"<{CANARY}>"}, {"secret": {"x": CANARY}}],
)
def test_parameters_that_ansible_refuses(module: Module, given: dict[str, Any]) -> None:
    result = module("", **{"secret": CANARY, "number": "seven", **given})
    assert result["failed"]
    assert result["failure"]["code"] == "invalid_parameter"
    assert result["failure"]["object"] == "ops.runbooks.thing"
    assert result["msg"].startswith("Could not read the parameters")


@pytest.mark.parametrize("name", ["../x", "-x", "", "a b"])
def test_names_that_cannot_stand_in_a_key(module: Module, name: str, tmp_path: Path) -> None:
    result = module("", "Stored", store=f"file://{tmp_path}", environment="e", name=name)
    assert result["failure"]["code"] == "invalid_parameter"
    assert result["failure"]["attempted"] == "use name"


def test_whatever_leaves_is_redacted(module: Module) -> None:
    """Raw and encoded, as values and keys, in warnings, from the environment and from URLs."""
    script = """
        import base64
        from urllib.parse import quote
        class Chatty(Thing):
            def act(self, state, plan):
                secret = self.params["secret"]
                self.context.warn(f"warned of {secret}")
                self.context.redactor.protect("generated-secret")
                return {secret: [quote(secret, safe=""), base64.b64encode(secret.encode()).decode()],
                        "env": os.environ["ENV_PASSWORD"], "new": "generated-secret",
                        "url": "postgresql://u:other-secret@h/d", "odd": object, "bytes": b"x"}
    """
    result = module(script, "Chatty", secret=CANARY)
    text = json.dumps(result)
    assert "kan4ry" not in text
    assert "a2FuNHJ5" not in text
    assert "generated-secret" not in text
    assert "other-secret" not in text
    assert "warned of ********" in result["warnings"]


def test_nothing_is_said_beside_the_result(module: Module) -> None:
    """Threads, libraries and the interpreter all print to standard error by themselves; here they do not."""
    script = """
        class Noisy(Thing):
            def act(self, state, plan):
                logging.getLogger("urllib3").critical("logged %s", self.params["secret"])
                def fail():
                    raise KeyError(self.params["secret"])
                thread = threading.Thread(target=fail)
                thread.start()
                thread.join()
                class Bad:
                    def __del__(bad):
                        raise KeyError(self.params["secret"])
                Bad()
                return {}
    """
    result = module(script, "Noisy", secret=CANARY)
    assert "A helper thread ended with KeyError." in result["warnings"]


@pytest.mark.parametrize("setting", ["_ansible_keep_remote_files", "_ansible_debug"])
def test_settings_that_keep_or_print_secrets(module: Module, setting: str) -> None:
    assert module("", secret=CANARY, **{setting: True})["failure"]["code"] == "leaking_settings"
    assert module("", **{setting: True})["changed"], "without a secret there is nothing to leak"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_told_to_stop(module: Module, number: signal.Signals) -> None:
    script = """
        class Slow(Thing):
            def act(self, state, plan):
                try:
                    os.write(2, b"working\\n")
                    time.sleep(30)
                finally:
                    # A second signal does not interrupt the cleaning up.
                    os.kill(os.getpid(), 15)
                    self.context.warn("cleaned up")
    """
    running = module.start(script, "Slow")
    assert running.stderr is not None
    assert running.stderr.readline() == "working\n"
    running.send_signal(number)
    stdout, _stderr = running.communicate(timeout=10)
    result = parse(stdout)
    assert result["failure"]["code"] == "run_aborted"
    assert number.name in result["msg"]
    assert "cleaned up" in result["warnings"]


def test_a_signal_that_was_ignored_from_the_beginning(module: Module) -> None:
    """Under nohup a terminal may go away."""
    script = """
        class Steady(Thing):
            def act(self, state, plan):
                os.kill(os.getpid(), 1)
                os.write(2, b"working\\n")
                time.sleep(0.2)
                return {"id": "one"}
    """
    running = module.start(script, "Steady", ignoring="HUP")
    stdout, _stderr = running.communicate(timeout=30)
    assert parse(stdout)["thing"] == {"id": "one"}


def test_temporary_files_go(module: Module, tmp_path: Path) -> None:
    script = """
        class Writing(Thing):
            def act(self, state, plan):
                path = os.path.join(self.context.tmpdir, "secret")
                open(path, "w").close()
                return {"path": path}
    """
    result = module(script, "Writing")
    assert result["thing"]["path"].startswith(str(tmp_path))
    assert not Path(result["thing"]["path"]).parent.exists()


STORED = """
class Locked(Stored):
    def resources(self, plan):
        return ("database/main",)
    def act(self, state, plan):
        self.context.effect("make it")
        seen = [lease.resource for lease in self.context.leases]
        self.context.progress(bytes=1)
        if self.params["name"] == "bad":
            raise failure()
        return {"id": "one", "held": seen, "record": self.context.record.key}
    def context_of_failure(self):
        return {"known": True}
"""


def stored(directory: Path, name: str = "main") -> dict[str, Any]:
    return {"store": f"file://{directory}/store", "environment": "e", "name": name, "run_id": "run-1"}


def documents(directory: Path, below: str) -> list[dict[str, Any]]:
    paths = sorted((directory / "store" / below).rglob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def test_under_a_lock_with_a_record(module: Module, tmp_path: Path) -> None:
    result = module(STORED, "Locked", **stored(tmp_path))
    assert result["thing"]["held"] == ["database/main"]
    (record,) = documents(tmp_path, "e/runs/run-1/main")
    assert (record["status"], record["identity"], record["result"]["id"]) == ("done", "one", "one")
    assert record["plan"]["steps"] == ["make it"]
    assert record["measurements"] == {"bytes": 1}
    lock = documents(tmp_path, "e/locks/database/main")[-1]
    assert (lock["state"], lock["record"]) == ("released", result["thing"]["record"])


def test_a_failure_under_a_lock(module: Module, tmp_path: Path) -> None:
    result = module(STORED, "Locked", **stored(tmp_path, "bad"))
    assert result["failure"]["code"] == "server_failed"
    (record,) = documents(tmp_path, "e/runs/run-1/bad")
    assert (record["status"], record["failure"]["code"], record["result"]) == (
        "failed",
        "server_failed",
        {"known": True},
    )
    assert documents(tmp_path, "e/locks/database/main")[-1]["state"] == "released"


def test_check_mode_writes_nothing(module: Module, tmp_path: Path) -> None:
    assert module(STORED, "Locked", **stored(tmp_path), _ansible_check_mode=True)["changed"]
    assert not (tmp_path / "store").exists()


def test_what_another_run_did_before_the_lock_was_had(module: Module, tmp_path: Path) -> None:
    """The world is looked at again under the lock."""
    script = """
        class Late(Stored):
            looks = 0
            def resources(self, plan):
                return ("database/main",)
            def observe(self):
                self.looks += 1
                return self.looks
            def plan(self, state):
                return Plan(changed=state == 1, result={"looks": state})
            def act(self, state, plan):
                raise failure()
    """
    result = module(script, "Late", **stored(tmp_path))
    assert result["changed"] is False
    assert result["thing"] == {"looks": 2}
    assert not documents(tmp_path, "e/runs")


def test_an_operation_without_evidence(module: Module, tmp_path: Path) -> None:
    script = """
        class Serving(Stored):
            recorded = False
    """
    assert module(script, "Serving", **stored(tmp_path))["changed"]
    assert not (tmp_path / "store").exists()


def test_an_old_python_is_refused_in_one_sentence() -> None:
    script = """
        import sys
        sys.version_info = (3, 10, 4)
        import ansible_collections.ops.runbooks.plugins.module_utils._core.runner
    """
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(COLLECTIONS)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=env, capture_output=True, text=True, check=False
    )
    result = json.loads(done.stdout)
    assert done.returncode == 1
    assert result["failure"]["code"] == "python_too_old"
    assert "this one is 3.10" in result["msg"]
    assert done.stderr == ""


LISTED = """
    import ansible.module_utils.basic as basic
    basic.has_journal = False
    basic.syslog.syslog = lambda *said: print(said, file=open("{log}", "a"))
    class Listed(Thing):
        spec = ArgumentSpec(options={{"secrets": {{"type": "list", "elements": "dict", "no_log": False, "options": {{
            "name": {{"type": "str"}}, "value": {{"type": "raw", "no_log": True}}}}}}}})
"""


def test_the_system_s_log_is_told_no_parameter(module: Module, tmp_path: Path) -> None:
    """Of a key of several lines not one is there, though in a list it is written otherwise than alone."""
    log = tmp_path / "log"
    pem = "-----BEGIN PRIVATE KEY-----\nkanarienvogelkanarienvogel\nback\\slash\n"
    assert module(LISTED.format(log=log), "Listed", secrets=[{"name": "A", "value": pem}])["changed"]
    said = log.read_text(encoding="utf-8")
    assert "Invoked" in said
    assert "kanarien" not in said


@pytest.mark.parametrize(
    "given",
    [
        {"secrets": [{"name": "A", "valeu": CANARY}]},
        {"secrets": [{"name": "A", "valeu": {"more": [CANARY]}}]},
        {"secrets": [["A", CANARY]]},
        {"secrets": {"valeu": CANARY}},
        {"secrets": f"A,{CANARY}"},
        {"secert": CANARY},
        {"secrets": [{"name": [CANARY], "value": CANARY}], "secert": 1},
    ],
)
def test_a_secret_under_a_wrong_name_is_not_shown(module: Module, tmp_path: Path, given: dict[str, Any]) -> None:
    """Ansible shows what a module was given wherever it is refused (2.19), or wherever that is asked for (2.20)."""
    result = module(LISTED.format(log=tmp_path / "log"), "Listed", **given, _ansible_inject_invocation=True)
    assert result["failure"]["code"] == "invalid_parameter"
    assert result["invocation"]["module_args"]
    assert "kan4ry" not in json.dumps(result)
