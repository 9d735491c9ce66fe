# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The integration targets against a private sandbox, on the oldest supported ansible-core and its oldest Python.

On the newest, the system tests send every module through ansible and run every runbook, as molecule does on the oldest.
Which store it is does not matter to ansible: here it is S3, and the unit tests on the oldest write to directories.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harness.ansible_test import ToolChain, ansible_test, staged, toolchains
from harness.paths import CHECKOUT
from harness.servers import s3_client
from harness.shared import HERE
from harness.sites import Site, make_site

if TYPE_CHECKING:
    from sandbox import Sandbox
    from sandbox.aws import AwsServer
    from sandbox.github import GitHubServer
    from sandbox.supabase import SupabaseServer


#: Commits of the repository ``acme/web`` on the stand-in for GitHub.
GREEN, RED, SILENT = "a" * 40, "b" * 40, "c" * 40


def fill(github: GitHubServer) -> None:
    """A repository with a commit that is green, one that is not, and one of which nothing was reported."""
    from sandbox.github import CheckRun, Commit, Repository, Status

    commits = (
        Commit(sha=GREEN, check_runs=(CheckRun(name="test"),), statuses=(Status(context="ci"),)),
        Commit(sha=RED, check_runs=(CheckRun(name="test", conclusion="failure"),)),
        Commit(sha=SILENT),
    )
    github.put(Repository(name="acme/web", refs={"main": GREEN}, commits={each.sha: each for each in commits}))


def variables(
    sandbox: Sandbox,
    bucket: str,
    file_store: Path,
    stores: list[str],
    site: Site,
    github: GitHubServer,
    aws: AwsServer,
    supabase: SupabaseServer,
) -> dict[str, Any]:
    """What the targets know about the servers."""
    return {
        "sandbox_pg_host": sandbox.postgres.host,
        "sandbox_pg_port": sandbox.postgres.port,
        "sandbox_pg_user": sandbox.postgres.user,
        "sandbox_pg_password": sandbox.postgres.password,
        "sandbox_pg_bindir": str(sandbox.postgres.bindir),
        "sandbox_s3_endpoint": sandbox.s3.endpoint_url,
        "sandbox_s3_access_key": sandbox.s3.access_key,
        "sandbox_s3_secret_key": sandbox.s3.secret_key,
        "sandbox_s3_bucket": bucket,
        "sandbox_file_store": str(file_store),
        "sandbox_stores": stores,
        "sandbox_vercel": site.options,
        "sandbox_vercel_url": site.vercel.api_url,
        "sandbox_vercel_host": site.host,
        "sandbox_github": {"api_url": github.api_url, "token": github.token, "repository": "acme/web"},
        "sandbox_aws": aws.args,
        "sandbox_supabase": supabase.args(supabase.make_project()),
        "sandbox_aws_own_key": {"user": aws.user, "access_key_id": aws.access_key},
        "sandbox_github_commits": {"green": GREEN, "red": RED, "silent": SILENT},
        "sandbox_vercel_deployments": {letter: site.id(letter) for letter in "ABCD"},
    }


def interpreter(chain: ToolChain, directory: Path) -> Path:
    """The tool chain's, which compiles once what all tasks send to it (``startup/sitecustomize.py``)."""
    path = directory / "python"
    found = f"PYTHONPATH={shlex.quote(str(HERE / 'startup'))}${{PYTHONPATH:+:$PYTHONPATH}}"
    kept = f"HARNESS_CACHE={shlex.quote(str(directory / 'shared'))}"
    path.write_text(f'#!/bin/sh\n{found} {kept} exec {shlex.quote(str(chain.python))} "$@"\n', encoding="utf-8")
    path.chmod(0o700)
    return path


def run_targets(chain: ToolChain) -> int:
    """Run them on servers of their own."""
    from sandbox import Sandbox
    from sandbox.aws import AwsServer, User
    from sandbox.github import GitHubServer
    from sandbox.supabase import SupabaseServer
    from sandbox.vercel import GitLink, VercelServer

    link = GitLink(org="acme", repo="web", repo_id=7)
    with (
        tempfile.TemporaryDirectory(prefix="runbooks-integration-") as directory,
        Sandbox(Path(directory) / "sandbox", postgres="18") as sandbox,
        VercelServer(Path(directory) / "vercel") as vercel,
        GitHubServer(Path(directory) / "github") as github,
        AwsServer(Path(directory) / "aws") as aws,
        SupabaseServer(Path(directory) / "supabase") as supabase,
        staged() as root,
    ):
        bucket = "integration"
        s3_client(sandbox.s3).create_bucket(Bucket=bucket)
        file_store = Path(directory) / bucket
        file_store.mkdir()
        fill(github)
        aws.put(User(name="integration"))
        config = root / "tests" / "integration" / "integration_config.yml"
        known = variables(sandbox, bucket, file_store, ["s3"], make_site(vercel), github, aws, supabase)
        connected = make_site(vercel, link=link)
        known |= {"sandbox_vercel_connected": connected.options, "sandbox_vercel_connected_serves": connected.id("C")}
        known["ansible_python_interpreter"] = str(interpreter(chain, Path(directory)))
        config.write_text(yaml.safe_dump(known), encoding="utf-8")
        arguments = ["integration", "--local", "--allow-root", "--python", chain.version, "--color", "no"]
        return ansible_test(chain, root, [*arguments, *sys.argv[1:]])


def main() -> int:
    """Run the targets; further arguments go to ansible-test, such as the name of one target."""
    sys.path.insert(0, str(CHECKOUT))
    _newest, oldest = toolchains()
    return run_targets(oldest)


if __name__ == "__main__":
    raise SystemExit(main())
