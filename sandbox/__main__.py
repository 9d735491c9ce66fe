# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m sandbox up|down|status|env|database-url|run``."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

from sandbox import pagila, sample
from sandbox.environment import Sandbox
from sandbox.errors import SandboxError


def main(arguments: Sequence[str]) -> int:
    """Carry out one command and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(Sandbox(stand_ins=True), options)
    except SandboxError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="PostgreSQL, an S3 server and stand-ins for Vercel and GitHub on this machine's loopback address.",
        epilog="RUNBOOKS_SANDBOX_DIR names another directory than .sandbox.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, text in (
        ("up", up, "start the servers, or repair them, and fill them with samples; harmless when they run"),
        ("down", down, "stop them; everything stays but the S3 store's objects"),
        ("status", status, "show what runs, and where; exit 1 when something does not"),
        ("env", env, "print shell commands that set the clients' environment variables"),
        ("database-url", database_url, "print the URL with which the sample application reaches its database"),
    ):
        commands.add_parser(name, help=text, description=text).set_defaults(command=command)
    text = "run a command with these variables; start the servers where needed and then stop them afterwards"
    runner = commands.add_parser("run", help=text, description=text)
    runner.set_defaults(command=run)
    runner.add_argument("argv", nargs="+", metavar="CMD", help="the command and its arguments, after --")
    return parser


def up(sandbox: Sandbox, _options: argparse.Namespace) -> int:
    """Start what does not run."""
    started = sandbox.up()
    print("The sandbox is up." if started else "The sandbox was up already.")
    if started and pagila.ensure(sandbox.postgres):
        print("The sample database pagila was loaded.")
    if started and sample.ensure(sandbox):
        print(f"The sample application was deployed: {sample.url(sandbox)}/")
    print("Try: . .venv/bin/activate; ansible-playbook ops.runbooks.backup -i inventories/sandbox")
    return status(sandbox, _options)


def down(sandbox: Sandbox, _options: argparse.Namespace) -> int:
    """Stop everything."""
    print("The sandbox is down." if sandbox.down() else "The sandbox was down already.")
    return 0


def status(sandbox: Sandbox, _options: argparse.Namespace) -> int:
    """One line for each server."""
    conditions = sandbox.status()
    for condition in conditions:
        print(f"{condition.name:<12}{'runs at ' + condition.address if condition.running else 'does not run'}")
    print(f"{'data':<12}{sandbox.directory}")
    return 0 if all(condition.running for condition in conditions) else 1


def env(sandbox: Sandbox, _options: argparse.Namespace) -> int:
    """Shell commands for ``eval``; they contain the passwords."""
    _require_running(sandbox)
    for name, value in sandbox.variables().items():
        print(f"export {name}={shlex.quote(value)}")
    # shlex quotes the directory only: the shell is to put in its own PATH.
    print(f'export PATH={shlex.quote(str(sandbox.postgres.bindir))}:"$PATH"')
    return 0


def database_url(sandbox: Sandbox, _options: argparse.Namespace) -> int:
    """What the first run of rotate takes on record; it contains the password."""
    _require_running(sandbox)
    print(sample.database_url(sandbox))
    return 0


def run(sandbox: Sandbox, options: argparse.Namespace) -> int:
    """The exit status is the command's."""
    path = os.pathsep.join([str(sandbox.postgres.bindir), os.environ.get("PATH", os.defpath)])
    program = shutil.which(options.argv[0], path=path)
    if program is None:
        raise SandboxError(f"{options.argv[0]} was not found: check its name.")
    started = sandbox.up()
    try:
        environment = {**os.environ, **sandbox.variables(), "PATH": path}
        return subprocess.run([program, *options.argv[1:]], env=environment, check=False).returncode
    finally:
        if started:
            sandbox.down()


def _require_running(sandbox: Sandbox) -> None:
    if not sandbox.running:
        raise SandboxError(f"The sandbox in {sandbox.directory} does not run: start it with `make sandbox-up`.")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
