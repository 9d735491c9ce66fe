# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The S3 API (and KMS for its encryption), by LocalStack.

Its objects live as long as it runs: a server that was stopped or killed comes back empty.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3
import psutil
from botocore.config import Config

from sandbox import processes
from sandbox.errors import SandboxError
from sandbox.service import ANSWER_TIMEOUT, CHECKOUT, Facts, Service

#: The interpreter of the environment that holds LocalStack.
PYTHON = CHECKOUT / ".venv-s3" / "bin" / "python"

SCRIPT = CHECKOUT / "sandbox" / "localstack_here.py"


class S3Server(Service):
    """An S3 server with one bucket. It believes any credentials; these are random so that leaks of them are found."""

    name = "S3"
    region = "us-east-1"
    bucket = "ops-runbooks-sandbox"
    addressing_style = "path"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.access_key = f"sandbox{secrets.token_hex(6)}"
        self.secret_key = secrets.token_urlsafe(24)

    def recall(self, facts: Facts) -> None:
        super().recall(facts)
        self.access_key = str(facts.get("access_key", self.access_key))
        self.secret_key = str(facts.get("secret_key", self.secret_key))

    @property
    def endpoint_url(self) -> str:
        """The URL of the S3 API, and of KMS."""
        return f"http://{self.host}:{self.port}"

    def require_installed(self) -> None:
        if not PYTHON.exists():
            raise SandboxError(f"The S3 server is not installed in {PYTHON.parents[1]}: run `make setup`.")

    def facts(self) -> Facts:
        return {
            "host": self.host,
            "port": self.port,
            "endpoint_url": self.endpoint_url,
            "access_key": self.access_key,
            "secret_key": self.secret_key,
            "region": self.region,
            "addressing_style": self.addressing_style,
            "bucket": self.bucket,
        }

    def variables(self) -> dict[str, str]:
        ours = {f"RUNBOOKS_SANDBOX_S3_{name.upper()}": str(value) for name, value in self.facts().items()}
        return ours | {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint_url,
        }

    def client(self, service: str = "s3", *, endpoint_url: str | None = None) -> Any:
        """A boto3 client of this server for ``s3`` or ``kms``, or of a proxy before it."""
        return boto3.client(
            service,
            endpoint_url=endpoint_url or self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(s3={"addressing_style": self.addressing_style}),
        )

    def belongs(self, process: psutil.Process) -> bool:
        return str(SCRIPT) in process.cmdline() and processes.works_in(process, self.directory)

    def answers(self) -> bool:
        try:
            with urlopen(f"{self.endpoint_url}/_localstack/health", timeout=ANSWER_TIMEOUT) as reply:
                services = json.load(reply)["services"]
        except (OSError, HTTPException, ValueError, KeyError):
            return False
        return all(services.get(name) in ("running", "available") for name in ("s3", "kms"))

    def settings(self) -> dict[str, str]:
        """LocalStack's settings: this address only, these services only, nothing fetched, files in our directory."""
        return {
            "SERVICES": "s3,kms",
            "EAGER_SERVICE_LOADING": "1",
            "GATEWAY_LISTEN": f"{self.host}:{self.port}",
            # The default server listens on all addresses whatever the line above says.
            "GATEWAY_SERVER": "hypercorn",
            "DNS_ADDRESS": "0",
            "DISABLE_EVENTS": "1",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            # Inside a container it would take the machine's /var/lib for its own.
            "OVERRIDE_IN_DOCKER": "0",
            "FILESYSTEM_ROOT": str(self.directory / "files"),
            "TMPDIR": str(self.directory / "tmp"),
            "XDG_CACHE_HOME": str(self.directory / "cache"),
        }

    def _launch(self) -> subprocess.Popen[bytes]:
        self._clear()
        (self.directory / "tmp").mkdir()
        return processes.spawn(
            [str(PYTHON), str(SCRIPT)],
            directory=self.directory,
            log=self.log,
            environment=_clean_environment() | self.settings(),
        )

    def _prepare(self) -> None:
        # Creating a bucket that one owns already is no error in this region.
        self.client().create_bucket(Bucket=self.bucket)

    def _ask_to_stop(self, process: psutil.Process) -> None:
        # It has nothing to save, and takes seconds to end in order.
        process.kill()

    def stop(self) -> bool:
        stopped = super().stop()
        self._clear()
        return stopped

    def _clear(self) -> None:
        """Remove the objects of a server that has ended."""
        for name in ("files", "tmp"):
            shutil.rmtree(self.directory / name, ignore_errors=True)


def _clean_environment() -> dict[str, str]:
    """The environment without the user's own AWS and Python settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
