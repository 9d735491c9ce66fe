# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Child processes (private to ops.runbooks): the only place where one is started.

A child runs in a process group of its own, with ``LC_ALL=C`` and an environment of few names, and never outlives the
module: the controller's watcher knows it, and on Linux the kernel kills it when the module dies by whatever means.
Its command line is a list and holds no secret, since every user of the machine can read it; secrets go into ``env``.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Final, Self

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: For ``stdin`` and ``stdout`` of :func:`start`, as in the standard library.
PIPE: Final = subprocess.PIPE
DEVNULL: Final = subprocess.DEVNULL

#: How much of a child's standard error is kept, in bytes from its end, and how many lines of it are shown.
_KEPT = 64 * 1024
_LINES = 20
#: Seconds between asking a child to end and killing it. pg_dump and pg_restore use them to cancel their queries.
_GRACE = 1.0
#: What a pipe is to hold, in bytes (an ordinary user may have 1 MiB, see pipe(7)), and what is worth waking up for.
_PIPE = 1 << 20
_GATHER = _PIPE // 2
#: Seconds that a piece of output may lie in its pipe while more is expected.
_LONGEST_PAUSE = 0.02
#: What a child inherits; everything else is the caller's to give. Nothing here is a secret or changes what tools do.
_INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "KRB5CCNAME",
    "KRB5_CONFIG",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
#: Runs in the child before the tool: PR_SET_PDEATHSIG (1, see prctl(2)) can be set only from inside, and doing that
#: between fork and exec by ``preexec_fn`` is not safe where there are threads. A parent that is gone by then sends no
#: signal, hence the comparison. Python ignores SIGPIPE, which tools must not inherit.
_LAUNCHER = """
import ctypes, os, signal, sys
if ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0) != 0 or os.getppid() != int(sys.argv[1]):
    os._exit(1)
for number in (signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(number, signal.SIG_DFL)
try:
    os.execv(sys.argv[2], sys.argv[2:])
except OSError as error:
    raise SystemExit(f"{sys.argv[2]}: {error.strerror}")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A child that has ended: exit status (negative: the signal), what it wrote, standard error redacted."""

    status: int
    stdout: str
    stderr: str


class Child:
    """A running child; a context manager that leaves none behind.

    ``stdin`` and ``stdout`` are buffered binary files where they were asked for as :data:`PIPE`, else None. Standard
    error is drained by a thread, so that a talkative child never stands still.
    """

    def __init__(self, process: subprocess.Popen[bytes], *, name: str, context: Context) -> None:
        self.name = name
        self.stdin = process.stdin
        self.stdout = process.stdout
        self._process = process
        self._context = context
        self._stderr = _Tail(process.stderr)
        for pipe in (self.stdin, self.stdout):
            _widen(pipe)
        context.controller.register(process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for pipe in (self.stdin, self.stdout):
            _close(pipe)

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its process group."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def output(self) -> Gathered:
        """Its standard output, which was asked for as :data:`PIPE`, for whoever wants all of it with little work."""
        if self.stdout is None:
            raise ValueError(f"{self.name} was started without a pipe to read from")
        return Gathered(self.stdout.fileno())

    def stderr_tail(self) -> str:
        """The last 20 lines of what it wrote to standard error so far, redacted; all of it once it was waited for."""
        text = self._context.redactor.text(self._stderr.text())
        return "\n".join(text.splitlines()[-_LINES:])

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status once it has ended (negative: the signal that ended it).

        Raises ``timed_out`` after ``timeout`` seconds, when it and all that it started have been killed.
        """
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RunbookError(
                code="timed_out",
                attempted=f"wait for {self.name}",
                object=self.name,
                reason=f"it did not end within {timeout:g} s and was stopped",
                remedy="Give it more time, or find out what it waits for.",
            ) from None
        self._ended()
        return status

    def kill(self) -> None:
        """End it and all that it started: asked first, forced a second later. One that has ended is left alone."""
        if self.running:
            signal_group(self.pid, signal.SIGTERM)
            try:
                self._process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                signal_group(self.pid, signal.SIGKILL)
                self._process.wait()
        self._ended()

    def _ended(self) -> None:
        self._context.controller.unregister(self.pid)
        self._stderr.join()


class Gathered:
    """A pipe as a source of large pieces.

    Tools write 4 KiB at a time. Whoever wakes up for each of these takes more of a processor than all that is done with
    them afterwards, so this one lets some gather: about half of what the pipe holds, so that the tool never waits.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._last = time.monotonic()

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill ``buffer`` from its start with what has come; 0 at the end of the stream."""
        count = os.readv(self._descriptor, [buffer])
        took, self._last = time.monotonic() - self._last, time.monotonic()
        if 0 < count < min(_GATHER, len(buffer)):
            # As long as the missing rest takes at the pace of this piece.
            time.sleep(min(took * (_GATHER - count) / count, _LONGEST_PAUSE))
        return count


class _Tail:
    """The end of a stream, read by a thread of its own."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._stream = stream
        self._kept = bytearray()
        self._cut = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._drain, name="stderr", daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        if self._stream is None:
            return
        with self._stream as stream:
            # The descriptor and not the file: its read() would wait until the buffer is full.
            while block := os.read(stream.fileno(), 65536):
                with self._lock:
                    self._kept += block
                    self._cut = self._cut or len(self._kept) > _KEPT
                    del self._kept[:-_KEPT]

    def join(self) -> None:
        """Wait for the end of the stream, briefly: a grandchild may hold it open."""
        self._thread.join(_GRACE)

    def text(self) -> str:
        """What was kept. Where the beginning was cut off, the cut line goes too: half a secret is not recognised."""
        with self._lock:
            kept, cut = bytes(self._kept), self._cut
        return (kept.partition(b"\n")[2] if cut else kept).decode("utf-8", "replace")


def start(
    argv: Sequence[str],
    *,
    context: Context,
    env: Mapping[str, str],
    stdin: int | None = None,
    stdout: int = PIPE,
    name: str,
    cwd: str | None = None,
) -> Child:
    """Start a child; ``name`` is what messages call it, ``cwd`` the directory that it is started in.

    ``argv[0]`` is a path or is looked up on PATH. ``env`` is laid over the few inherited names. ``stdin`` is nothing
    (the default), :data:`PIPE` or a file descriptor; ``stdout`` :data:`PIPE`, :data:`DEVNULL` or a file descriptor.
    Raises ``tool_missing`` where the tool does not exist and ``tool_failed`` where it cannot be started.
    """
    environment = {key: os.environ[key] for key in _INHERITED if key in os.environ}
    environment |= {"LC_ALL": "C", **env}
    program = os.path.join(cwd, argv[0]) if cwd and os.sep in argv[0] else argv[0]
    path = shutil.which(program, path=environment.get("PATH", os.defpath))
    if path is None:
        raise RunbookError(
            code="tool_missing",
            attempted=f"run {name}",
            object=argv[0],
            reason="no such program was found",
            remedy="Install it, or name the directory that holds it.",
        )
    command = [path, *argv[1:]]
    if sys.platform.startswith("linux"):
        command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *command]
    try:
        process = _spawn(command, env=environment, stdin=DEVNULL if stdin is None else stdin, stdout=stdout, cwd=cwd)
    except OSError as error:
        raise RunbookError(
            code="tool_failed",
            attempted=f"start {name}",
            object=path,
            reason=f"the system refused ({error.strerror})",
            remedy="See that the machine has free memory and processes, then run the same command again.",
        ) from error
    return Child(process, name=name, context=context)


def capture(
    argv: Sequence[str],
    *,
    context: Context,
    env: Mapping[str, str],
    input: str | None = None,
    timeout: float,
    cwd: str | None = None,
) -> Completed:
    """Run a child that says little to its end, and return what it said; its exit status is the caller's to judge.

    ``input`` must fit into a pipe (64 KiB). Raises ``tool_missing``, ``tool_failed``, and ``timed_out`` after
    ``timeout`` seconds.
    """
    name = os.path.basename(argv[0])
    with start(argv, context=context, env=env, stdin=None if input is None else PIPE, name=name, cwd=cwd) as child:
        if child.stdin is not None and input is not None:
            child.stdin.write(input.encode())
            _close(child.stdin)
        said: list[bytes] = []
        reader = threading.Thread(target=lambda: said.append(_read(child.stdout)), name="stdout", daemon=True)
        reader.start()
        status = child.wait(timeout)
        reader.join(_GRACE)
        stdout = b"".join(said).decode("utf-8", "replace")
        return Completed(status=status, stdout=stdout, stderr=child.stderr_tail())


def ask(argv: Sequence[str], *, timeout: float = 5.0) -> str:
    """What a harmless system tool such as ``ps`` prints; nothing where it fails or does not exist."""
    try:
        finished = subprocess.run(  # pylint: disable=ansible-bad-function
            list(argv),
            stdin=DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return finished.stdout.decode("utf-8", "replace") if finished.returncode == 0 else ""


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to the group of a child of ours; one that is gone is no failure."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        # macOS answers EPERM for a group of which only a zombie is left.
        return


def _spawn(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start it from a thread that lives as long as the module.

    The kernel's parent death signal follows the thread that forked (prctl(2)), not the process: a child of a thread
    of a pool would die with that thread.
    """

    def popen() -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # pylint: disable=ansible-bad-function
            command, stderr=PIPE, close_fds=True, process_group=0, **options
        )

    if threading.current_thread() is threading.main_thread():
        return popen()
    return _spawner().submit(popen).result()


@cache
def _spawner() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawn")


def _widen(pipe: IO[bytes] | None) -> None:
    """Let a pipe hold more than the usual 64 KiB, where the system has that and this user may."""
    if pipe is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)


def _read(stream: IO[bytes] | None) -> bytes:
    return b"" if stream is None else stream.read()


def _close(stream: IO[bytes] | None) -> None:
    """Close a pipe to or from a child, which may be gone with something still unsent."""
    try:
        if stream is not None:
            stream.close()
    except BrokenPipeError:
        return
