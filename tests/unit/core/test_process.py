# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Children: what they get, what is kept of what they say, and that none stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core import process
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

from harness.children import until
from harness.paths import COLLECTIONS
from harness.stores import failing, run_context

LINUX = sys.platform.startswith("linux")


@pytest.fixture
def context() -> Context:
    return run_context()


def python(script: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(script)]


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_arguments_arrive_as_they_are(context: Context) -> None:
    words = ["a b", "$HOME", "'\"\\", "*", "ä中", ""]
    done = process.capture([*python("import sys; print(sys.argv[1:])"), *words], context=context, env={}, timeout=20)
    assert done.status == 0
    assert done.stdout == f"{words}\n"


def test_the_environment_is_a_small_one(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "leak")
    monkeypatch.setenv("DATABASE_URL", "leak")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    done = process.capture(["env"], context=context, env={"PGPASSWORD": "given"}, timeout=20)
    names = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert names.pop("PGPASSWORD") == "given"
    assert names.pop("LC_ALL") == "C"
    assert "leak" not in done.stdout
    assert set(names) <= {*process._INHERITED}
    assert names["PATH"] == os.environ["PATH"]


def test_exit_status(context: Context) -> None:
    assert process.capture(python("raise SystemExit(7)"), context=context, env={}, timeout=20).status == 7
    killed = process.capture(python("import os; os.kill(os.getpid(), 9)"), context=context, env={}, timeout=20)
    assert killed.status == -signal.SIGKILL


def test_input_goes_in_and_output_comes_out(context: Context) -> None:
    done = process.capture(["cat"], context=context, env={}, input="zeile ä\n" * 1000, timeout=20)
    assert done.stdout == "zeile ä\n" * 1000


def test_a_large_stream_passes_both_ways(context: Context) -> None:
    body = os.urandom(3_000_000)
    with process.start(["cat"], context=context, env={}, stdin=process.PIPE, name="cat") as child:
        stdin, stdout = child.stdin, child.stdout
        assert stdin is not None
        assert stdout is not None
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(lambda: (stdin.write(body), stdin.close()))
            received = stdout.read()
            writing.result()
        assert child.wait(20) == 0
    assert received == body


def test_output_comes_in_large_pieces_whole_and_to_its_end(context: Context) -> None:
    """4 KiB at a time, as tools write; then a slow byte, which is not held back, and the end."""
    script = """
        import os, time
        for number in range(1024):
            os.write(1, bytes([number % 256]) * 4096)
        time.sleep(0.5)
        os.write(1, b"x")
    """
    pieces = []
    buffer = memoryview(bytearray(8 << 20))
    with process.start(python(script), context=context, env={}, name="writer") as child:
        source = child.output()
        while count := source.readinto(buffer):
            pieces.append(bytes(buffer[:count]))
        assert child.wait(5) == 0
    assert b"".join(pieces) == b"".join(bytes([number % 256]) * 4096 for number in range(1024)) + b"x"
    assert len(pieces) < 200
    assert pieces[-1] == b"x"


def test_output_that_was_not_asked_for(context: Context) -> None:
    with (
        process.start(["true"], context=context, env={}, stdout=process.DEVNULL, name="true") as child,
        pytest.raises(ValueError, match="without a pipe"),
    ):
        child.output()


def test_a_missing_tool(context: Context, tmp_path: Path) -> None:
    no_program = tmp_path / "pg_dump"
    no_program.write_text("")
    for tool in ("no-such-tool-anywhere", str(no_program)):
        with failing("tool_missing"):
            process.start([tool], context=context, env={}, name="pg_dump")


@pytest.mark.skipif(not LINUX, reason="elsewhere the failure comes as an exception")
def test_a_tool_that_cannot_be_started(context: Context, tmp_path: Path) -> None:
    broken = tmp_path / "pg_dump"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    done = process.capture([str(broken)], context=context, env={}, timeout=20)
    assert done.status != 0
    assert done.stderr == f"{broken}: No such file or directory"


def test_a_system_that_refuses_to_start_anything(context: Context) -> None:
    with failing("tool_failed") as failure:
        process.start(["true"], context=context, env={"TOO_LONG": "x" * 3_000_000}, name="pg_dump")
    assert failure().attempted == "start pg_dump"


def test_of_a_talkative_child_the_end_is_kept(context: Context) -> None:
    script = """
        import sys
        for number in range(100_000):
            print(f"line {number} " + "x" * 50, file=sys.stderr)
    """
    with process.start(python(script), context=context, env={}, name="talkative") as child:
        assert child.wait(30) == 0
        tail = child.stderr_tail().splitlines()
        kept = len(child._stderr._kept)
    assert [line.split()[1] for line in tail] == [str(number) for number in range(99_980, 100_000)]
    assert kept <= 64 * 1024


def test_standard_error_is_redacted(context: Context) -> None:
    context.redactor.protect("s3cr3t-word")
    script = "import sys; sys.stderr.write('password s3cr3t-word and postgresql://u:other@h/d\\n')"
    done = process.capture(python(script), context=context, env={}, timeout=20)
    assert done.stderr == "password ******** and postgresql://u:********@h/d"


def test_half_a_secret_is_not_shown(context: Context) -> None:
    """Where the kept part begins in the middle of a secret, that line is left out."""
    context.redactor.protect("s3cr3t-word")
    kept = 64 * 1024
    script = f"""
        import sys
        tail = "ret of s3cr3t-word\\n" + "y" * 20 + "\\n"
        sys.stderr.write("x" * 100 + "s3cr3t-wo" + "rd\\n" + "z" * ({kept} - len(tail) - 5) + "\\n" + tail)
    """
    with process.start(python(script), context=context, env={}, name="cut") as child:
        child.wait(20)
        tail = child.stderr_tail()
    assert "cr3t" not in tail
    assert tail.endswith("y" * 20)


def test_output_that_is_not_utf8(context: Context) -> None:
    script = "import os; os.write(2, b'caf\\xe9\\n'); os.write(1, b'\\xff')"
    done = process.capture(python(script), context=context, env={}, timeout=20)
    assert done.stderr == "caf\ufffd"
    assert done.stdout == "\ufffd"


def test_a_tool_may_die_of_a_broken_pipe(context: Context) -> None:
    """Python ignores SIGPIPE; the tools that it starts must not."""
    with process.start(["yes"], context=context, env={}, name="yes") as child:
        assert child.stdout is not None
        child.stdout.read(10)
        child.stdout.close()
        assert child.wait(20) == -signal.SIGPIPE


def test_too_long_means_the_end_of_all_of_it(context: Context) -> None:
    script = """
        import subprocess, sys, time
        print(subprocess.Popen(["sleep", "600"]).pid, flush=True)
        time.sleep(600)
    """
    with process.start(python(script), context=context, env={}, name="slow") as child:
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        with failing("timed_out"):
            child.wait(0.5)
        assert not child.running
        until(lambda: not alive(grandchild), 5)


def test_asked_first_and_forced_later(context: Context) -> None:
    script = """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: (sys.stderr.write("asked\\n"), sys.stderr.flush()))
        print("ready", flush=True)
        while True:
            time.sleep(600)
    """
    with process.start(python(script), context=context, env={}, name="stubborn") as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.kill()
        assert child.wait() == -signal.SIGKILL
        assert child.stderr_tail() == "asked"


def test_leaving_the_block_ends_the_child(context: Context) -> None:
    with process.start(["sleep", "600"], context=context, env={}, name="sleep") as child:
        pid = child.pid
        assert alive(pid)
        assert pid in context.controller._children
    assert not alive(pid)
    assert pid not in context.controller._children


def test_a_child_outlives_the_thread_that_started_it(context: Context) -> None:
    """The kernel's death signal follows the thread that forked."""
    with ThreadPoolExecutor(1) as pool:
        child = pool.submit(process.start, ["sleep", "600"], context=context, env={}, name="sleep").result()
    with child:
        time.sleep(0.3)
        assert child.running


@pytest.mark.skipif(not LINUX, reason="other systems have no parent death signal")
@pytest.mark.parametrize("in_thread", [False, True])
def test_a_child_dies_with_a_module_that_is_killed(in_thread: bool, tmp_path: Path) -> None:
    script = f"""
        import time
        from concurrent.futures import ThreadPoolExecutor
        from ansible_collections.ops.runbooks.plugins.module_utils._core import process
        from harness.stores import run_context
        def begin():
            return process.start(["sleep", "600"], context=run_context(), env={{}}, name="sleep")
        child = ThreadPoolExecutor(1).submit(begin).result() if {in_thread} else begin()
        print(child.pid, flush=True)
        time.sleep(600)
    """
    path = os.pathsep.join([str(COLLECTIONS), str(Path(__file__).parents[2])])
    module = subprocess.Popen(python(script), env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE)
    try:
        assert module.stdout is not None
        pid = int(module.stdout.readline())
        until(lambda: psutil.Process(pid).name() == "sleep", 5)
    finally:
        module.kill()
        module.wait()
    until(lambda: not alive(pid), 2)


def test_asking_a_tool_that_is_not_there_or_fails() -> None:
    assert process.ask(["no-such-tool-anywhere"]) == ""
    assert process.ask(["false"]) == ""
    assert process.ask(["echo", "said"]) == "said\n"
