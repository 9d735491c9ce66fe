# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An interpreter that has imported the modules already and runs each in a forked child.

A short run of a module is imports, for the most part, and there are two thousand of them in a test session. The child
is what a fresh one would be: a session, an environment, a directory, standard streams and a heap of its own, nothing of
which another run sees. What depends on how a module is started is not run like this: those that are
measured, or killed at a moment that a test sees (``ModuleRunner.start``), libraries that are missing, ansible itself.

``python -P warm.py`` is the interpreter. It reads a line of JSON for each run, and answers with two lines: the process
id, and at the end the exit status.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

#: What modules import only when they need it.
LAZY = ("boto3", "botocore.session", "dateutil.rrule", "psycopg", "requests", "zstandard")


class Warm:
    """The interpreter, as its caller sees it: one run at a time, until the caller ends."""

    def __init__(self, collections: str) -> None:
        self.idle = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            # Without the mark of a test's children, which this is not: it outlives the test.
            env={"LC_ALL": "C.UTF-8", "PYTHONPATH": collections},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        atexit.register(self._end)

    def run(
        self, module: str, stdin: str, *, environment: Mapping[str, str], cwd: Path, timeout: float, **more: Any
    ) -> tuple[int, str, str]:
        """Status, output and error output of a module. The caller holds ``idle``; ``more`` is for :func:`become`."""
        with tempfile.TemporaryDirectory() as name:
            streams = [Path(name) / str(number) for number in range(3)]
            streams[0].write_text(stdin, encoding="utf-8")
            request = {"module": module, "environment": dict(environment), "cwd": str(cwd), **more}
            pid = int(self._ask({**request, "streams": [str(path) for path in streams]}))
            status = self._wait(pid, timeout)
            if status is None:
                raise subprocess.TimeoutExpired(module, timeout)
            output, error = (path.read_text(encoding="utf-8", errors="replace") for path in streams[1:])
            return status, output, error

    def _wait(self, pid: int, timeout: float) -> int | None:
        """The exit status; None where its time was over. However this ends, the run has ended."""
        late = threading.Event()

        def end() -> None:
            late.set()
            self._kill(pid)

        limit = threading.Timer(timeout, end)
        limit.start()
        try:
            status = int(self._answer())
        except BaseException:
            self._kill(pid)
            self._answer()
            raise
        finally:
            limit.cancel()
        return None if late.is_set() else status

    def _ask(self, request: dict[str, Any]) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    @staticmethod
    def _kill(pid: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@cache
def warm(collections: str) -> Warm:
    """The one of this test session."""
    return Warm(collections)


def become(request: dict[str, Any]) -> None:
    """Turn this forked child into a run of the module, whose end is its end; its heap is left to the kernel."""
    os.setsid()
    for number, name in enumerate(request["streams"]):
        opened = os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["cwd"])
    tempfile.tempdir = None
    sys.argv = [request["module"]]
    if "passes" in request:
        die_early(request["passes"])
    module = request["module"]
    os._exit(run_to_the_end(lambda: runpy.run_module(module, run_name="__main__", alter_sys=True)))


def run_to_the_end(program: Callable[[], object]) -> int:
    """What the interpreter makes of a program: its exit status, once all is over that the interpreter waits for."""
    status = 0
    try:
        program()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001  as the interpreter does at its end
        traceback.print_exc()
        status = 1
    # What the interpreter itself does first at its end: pools of threads are told to finish, and waited for.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def die_early(passes: list[str]) -> None:
    """Have this process killed where it is about to change something outside that is not among ``passes``.

    The last thing that it says is what that was: without names and numbers, and the how manieth of its kind.
    """
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

    effect, seen = Context.effect, Counter[str]()

    def dying(context: Context, what: str) -> None:
        effect(context, what)
        kind = re.sub(r"\S*\d\S*", "...", what)
        seen[kind] += 1
        told = f"{kind} ({seen[kind]})"
        if told not in passes:
            os.write(1, told.encode())
            os.kill(os.getpid(), signal.SIGKILL)

    Context.effect = dying  # type: ignore[assignment, method-assign]


def keep_descriptions(patch: Callable[[object, str, object], None] = setattr) -> None:
    """Amazon's services are described by megabytes of JSON, which each client reads; they are the same for all."""
    import boto3
    from botocore import loaders

    load, found = loaders.JSONFileLoader().load_file, loaders.Loader().list_available_services
    kept, listed = cache(load), cache(found)
    patch(loaders.JSONFileLoader, "load_file", lambda _self, path: kept(path))
    patch(loaders.Loader, "list_available_services", lambda _self, type_name: listed(type_name))
    boto3.session.Session(region_name="us-east-1").client("s3")


def settle(*modules: str) -> None:
    """Have everything imported that forks will need, and whatever these modules import."""
    for name in LAZY:
        import_module(name)
    for name in modules:
        forget_module(name)
    keep_descriptions()
    # Pages that nobody writes to are not copied.
    gc.freeze()


def forget_module(name: str) -> None:
    """Its imports stay; the module itself will be the main program of each run."""
    import_module(name)
    del sys.modules[name]


def main() -> None:
    """Serve until the caller closes the pipe."""
    settle()
    for line in sys.stdin:
        request = json.loads(line)
        forget_module(request["module"])
        pid = os.fork()
        if pid == 0:
            become(request)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
