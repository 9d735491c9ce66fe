# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A PostgreSQL server of one run's own (private to ops.runbooks): made, started, ended and removed again.

It listens on a Unix socket in a directory that only this user can enter, asks for a password that only this run knows,
and dies with the module, by whatever means that dies. Its directory then stays, and the next run removes it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core import process
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, connector
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.tools import Tool

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: The superuser, who is nobody in any backup, and the role that backups are loaded with.
ADMIN, LOADER = "runbooks_admin", "runbooks_loader"
_PREFIX = "runbooks-drill-"
_ATTEMPTED = "start a private server"
#: It is one socket's name and never a port.
_PORT = 5432
#: An operating system allows no longer path for a Unix socket (104 bytes on macOS, unix(4), with its final zero).
_LONGEST_SOCKET_PATH = 103
#: Seconds that making and starting may take on a slow disk, that ending may take, and between two looks.
_PATIENCE, _FAREWELL, _PAUSE = 120.0, 10.0, 0.05
#: The account that the server gets where root may not make a user namespace; it owns nothing else.
_NOBODY = 65534
_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
#: Runs before the program: gives up root, and asks the kernel for SIGQUIT, PostgreSQL's "immediate shutdown", when the
#: module dies (PR_SET_PDEATHSIG is 1, see prctl(2)); SIGKILL would leave its shared memory behind. Changing the user
#: takes back what was asked for before, hence here, and hence the look at whether the parent is still there.
_LAUNCHER = """
import ctypes, os, signal, sys
parent, user = int(sys.argv[1]), int(sys.argv[2])
if user:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
if sys.platform.startswith("linux"):
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
os.execv(sys.argv[3], sys.argv[3:])
"""
#: No waiting for the disk at each commit, no archive, no cleaning up: the server lives for one load. What is measured
#: is still a load that reaches the disk.
_SETTINGS = {
    "listen_addresses": "",
    "port": str(_PORT),
    "unix_socket_permissions": "0700",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "max_connections": "30",
    "maintenance_work_mem": "128MB",
    "autovacuum": "off",
    "timezone": "UTC",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateServer:
    """A server that runs. ``admin`` is its superuser's way to it, ``loader`` that of an ordinary role.

    Backups are loaded by the ordinary one: what is in a backup runs with the rights of whoever loads it, and a
    superuser of a server on this machine could start programs here.
    """

    version: str
    major: int
    admin: Connector
    loader: Connector
    bytes_free: int


@contextmanager
def private_server(initdb: Tool, postgres: Tool, directory: str | None, context: Context) -> Iterator[PrivateServer]:
    """Make a server, start it, and leave nothing of it, whatever happens in the block."""
    root = Path(directory or tempfile.gettempdir())
    context.effect(_ATTEMPTED)
    sweep(root, context)
    with ExitStack() as stack:
        home = stack.enter_context(_home(root))
        password = secrets.token_urlsafe(24)
        context.redactor.protect(password)
        (home / "password").write_text(f"{password}\n", encoding="ascii")
        user = _user(home, context)
        _make(initdb, home, user, context)
        stack.enter_context(_running(postgres, home, user, context))
        yield _opened(postgres, home, password, context, stack)


def _opened(postgres: Tool, home: Path, password: str, context: Context, stack: ExitStack) -> PrivateServer:
    """The two ways to it; the ordinary role is made here."""
    ways = []
    for role in (ADMIN, LOADER):
        login = {"login_unix_socket": str(home), "login_port": _PORT, "login_user": role, "login_password": password}
        ways.append(connector({**login, "database": "postgres", "connection_fallback": False}, context, environ={}))
        stack.callback(ways[-1].close)
    admin, loader = ways
    with admin.open() as session:
        # Nobody logs statements here but this server, whose log goes nowhere.
        # Before 16 CREATEROLE may grant itself pg_execute_server_program, which starts programs here.
        roles = " CREATEROLE" if postgres.major >= 16 else ""
        # A foreign key of a table that forces row security on its owner too is checked as whoever makes the key.
        statement = f"CREATE ROLE {LOADER} LOGIN CREATEDB BYPASSRLS{roles} PASSWORD '{password}'"
        session.execute(statement, attempted=_ATTEMPTED)
    volume = os.statvfs(home)
    free = volume.f_bavail * volume.f_frsize
    return PrivateServer(version=postgres.version, major=postgres.major, admin=admin, loader=loader, bytes_free=free)


# its directory


@contextmanager
def _home(root: Path) -> Iterator[Path]:
    """A directory that is ours as long as its lock is held; it gets its name only when it is."""
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=root))
    except OSError as error:
        raise _failed(str(root), f"no directory can be made there ({error.strerror})") from error
    home = made.with_name(made.name.removeprefix("."))
    if len(os.fsencode(home / f".s.PGSQL.{_PORT}")) > _LONGEST_SOCKET_PATH:
        made.rmdir()
        raise _failed(str(root), "its path is too long for a Unix socket")
    with (made / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made.rename(home)
        try:
            yield home
        finally:
            shutil.rmtree(home, ignore_errors=True)


def sweep(root: Path, context: Context) -> int:
    """Remove what killed runs of this user have left; how many that was. Those whose lock is held are at work."""
    removed = 0
    for home in root.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if home.is_symlink() or home.stat().st_uid not in (
                os.geteuid(),
                *((_NOBODY,) if os.geteuid() == 0 else ()),
            ):
                continue
            with (home / "lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                context.effect(f"remove {home}, which a killed run has left")
                _end_orphan(home)
                shutil.rmtree(home, ignore_errors=True)
                removed += not home.exists()
    return removed


def _end_orphan(home: Path) -> None:
    """End a server whose module was killed on a system that does not do so itself."""
    with suppress(OSError, ValueError):
        pid = int((home / "data" / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])
        if str(home / "data") in process.ask(["ps", "-o", "command=", "-p", str(pid)]):
            os.kill(pid, signal.SIGQUIT)
            time.sleep(_PAUSE)


# the account


def _user(home: Path, context: Context) -> tuple[str, ...]:
    """What to begin a command with so that the server does not run as root, which PostgreSQL refuses.

    In a user namespace of its own the files stay root's and no account is needed. Where namespaces are forbidden, the
    usual thing in containers, the directory is given to ``nobody``, who must then be able to reach it.
    """
    own = ("0",)
    if os.geteuid() != 0:
        return _launcher(own)
    if not sys.platform.startswith("linux"):
        raise _failed(str(home), "PostgreSQL refuses to run as root, and this system has no way around that")
    try:
        tried = process.capture([*_NAMESPACE, "true"], context=context, env={}, timeout=_PATIENCE)
        if tried.status == 0:
            return (*_NAMESPACE, *_launcher(own))
    except RunbookError as error:
        if error.code not in ("tool_missing", "tool_failed"):
            raise
    for path in (home, *home.iterdir()):
        os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)
    return _launcher((str(_NOBODY),))


def _launcher(user: tuple[str, ...]) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *user)


# the server


def _make(initdb: Tool, home: Path, user: tuple[str, ...], context: Context) -> None:
    argv = [initdb.path, f"--pgdata={home / 'data'}", f"--username={ADMIN}", f"--pwfile={home / 'password'}"]
    argv += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"]
    done = process.capture([*user, *argv], context=context, env={}, timeout=_PATIENCE)
    if done.status != 0:
        raise _failed(f"{initdb.path} in {home}", _last(done.stderr) or f"it ended with status {done.status}")
    (home / "password").unlink()


@contextmanager
def _running(postgres: Tool, home: Path, user: tuple[str, ...], context: Context) -> Iterator[None]:
    argv = [*user, postgres.path, "-D", str(home / "data"), "-k", str(home)]
    for name, value in _SETTINGS.items():
        argv += ["-c", f"{name}={value}"]
    # Code of the backup that connects elsewhere finds no password there.
    environment = {"PGPASSFILE": os.devnull}
    with process.start(argv, context=context, env=environment, stdout=process.DEVNULL, name="postgres") as child:
        _await(child, home, postgres, context)
        try:
            yield
        finally:
            process.signal_group(child.pid, signal.SIGQUIT)
            with suppress(RunbookError):
                child.wait(_FAREWELL)


def _await(child: process.Child, home: Path, postgres: Tool, context: Context) -> None:
    """Until its pid file says ``ready``, as pg_ctl waits for it (``miscadmin.h``: LOCK_FILE_LINE_PM_STATUS)."""
    deadline = context.clock.monotonic() + _PATIENCE
    while child.running and context.clock.monotonic() < deadline:
        with suppress(OSError):
            lines = (home / "data" / "postmaster.pid").read_text(encoding="ascii", errors="replace").splitlines()
            if len(lines) >= 8 and lines[7].strip() == "ready":
                return
        context.clock.sleep(_PAUSE)
    reason = "it was not ready in time" if child.running else "it ended at once"
    child.kill()
    raise _failed(f"{postgres.path} in {home}", f"{reason}: {_last(child.stderr_tail())}")


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "it said nothing"


def _failed(what: str, reason: str) -> RunbookError:
    return RunbookError(
        code="drill_server_failed",
        attempted=_ATTEMPTED,
        object=what,
        reason=reason,
        remedy="Set scratch_directory to a short path with room, or drill_server_url to a server to drill on.",
    )
