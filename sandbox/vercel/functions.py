# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The functions of all deployments: each a child process that lives from its first request on."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections import OrderedDict, deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.vercel.hosting import Answer, Visit, trouble
from sandbox.vercel.model import Deployment

#: How many functions run at once; the one that was idle longest makes room.
MOST = 6

#: Lines of the runtime log that are kept for each deployment.
LOG_LINES = 1000

#: Seconds that a function may take, where its configuration says nothing.
MAX_DURATION = 60


@dataclass(slots=True, kw_only=True)
class Running:
    """A function's process."""

    process: subprocess.Popen[bytes]
    port: int
    max_duration: float
    #: Requests that it has not answered yet.
    busy: int = 0


class Functions:
    """Starts functions when they are asked for, hands requests on, keeps what they print."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._starting: dict[tuple[str, Path], threading.Lock] = {}
        self._running: OrderedDict[tuple[str, Path], Running] = OrderedDict()
        self._logs: dict[str, deque[dict[str, Any]]] = {}

    def ask(self, deployment: Deployment, directory: Path, visit: Visit, *, host: str) -> Answer:
        """A function's answer to a visitor."""
        for _attempt in range(2):
            try:
                running = self._get(deployment, directory, host)
            except (OSError, ValueError) as error:
                self._note(deployment.id, visit, 500, f"{type(error).__name__}: {error}", level="error")
                return trouble(500, "FUNCTION_INVOCATION_FAILED", "This Serverless Function has crashed.")
            try:
                answer = _pass_on(running, visit)
            except TimeoutError:
                self._note(deployment.id, visit, 504, "Task timed out", level="error")
                return trouble(504, "FUNCTION_INVOCATION_TIMEOUT", "This Serverless Function has timed out.")
            except ConnectionRefusedError:
                # It has ended since: the request goes to a new one, once.
                self._forget(running)
                continue
            except (OSError, http.client.HTTPException) as error:
                self._note(deployment.id, visit, 500, f"{type(error).__name__}: {error}", level="error")
                return trouble(500, "FUNCTION_INVOCATION_FAILED", "This Serverless Function has crashed.")
            finally:
                with self._lock:
                    running.busy -= 1
            self._note(deployment.id, visit, answer.status, "", level="error" if answer.status >= 500 else "info")
            return answer
        return trouble(500, "FUNCTION_INVOCATION_FAILED", "This Serverless Function has crashed.")

    def log(self, deployment_id: str) -> list[dict[str, Any]]:
        """The runtime log, oldest first."""
        with self._lock:
            return list(self._logs.get(deployment_id, ()))

    def drop(self, deployment_id: str) -> None:
        """End the functions of a deployment."""
        with self._lock:
            found = [each for key, each in self._running.items() if key[0] == deployment_id]
        for each in found:
            self._forget(each)

    def stop(self) -> None:
        """End all of them."""
        with self._lock:
            found = list(self._running.values())
        for each in found:
            self._forget(each)

    def _get(self, deployment: Deployment, directory: Path, host: str) -> Running:
        key = (deployment.id, directory)
        with self._lock:
            starting = self._starting.setdefault(key, threading.Lock())
        with starting:
            with self._lock:
                running = self._running.get(key)
                if running is not None and running.process.poll() is None:
                    self._running.move_to_end(key)
                    running.busy += 1
                    return running
            running = self._start(deployment, directory, host)
            with self._lock:
                running.busy += 1
                self._running[key] = running
                spare = self._spare()
        for each in spare:
            _end(each.process)
        return running

    def _spare(self) -> list[Running]:
        """Take idle functions off the list until it is short enough; nobody is given them any more."""
        idle = [(key, each) for key, each in self._running.items() if each.busy == 0]
        chosen = idle[: max(0, len(self._running) - MOST)]
        for key, _running in chosen:
            del self._running[key]
        return [each for _key, each in chosen]

    def _start(self, deployment: Deployment, directory: Path, host: str) -> Running:
        config = json.loads((directory / ".vc-config.json").read_text(encoding="utf-8"))
        if not str(config.get("runtime", "")).startswith("python"):
            raise ValueError(f"the stand-in runs Python functions only, not {config.get('runtime')}")
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.vercel.function", str(directory / config["handler"])],
            cwd=directory,
            env=_environment(deployment, host) | {str(k): str(v) for k, v in config.get("environment", {}).items()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        threading.Thread(target=self._read_log, args=(process, deployment.id), daemon=True).start()
        line = process.stdout.readline() if process.stdout else b""
        if not line.strip().isdigit():
            _end(process)
            raise ValueError("the function did not start; its log says why")
        return Running(process=process, port=int(line), max_duration=float(config.get("maxDuration", MAX_DURATION)))

    def _read_log(self, process: subprocess.Popen[bytes], deployment_id: str) -> None:
        for line in process.stderr or ():
            self._add(deployment_id, {"level": "info", "message": line.decode(errors="replace").rstrip("\n")})

    def _note(self, deployment_id: str, visit: Visit, status: int, text: str, *, level: str) -> None:
        row = {
            "level": level,
            "message": text,
            "source": "serverless",
            "domain": visit.host,
            "requestMethod": visit.method,
            "requestPath": visit.path,
            "responseStatusCode": status,
        }
        self._add(deployment_id, row)

    def _add(self, deployment_id: str, row: dict[str, Any]) -> None:
        at = time.time_ns() // 1_000_000
        full = {"rowId": f"{time.time_ns()}", "timestampInMs": at, "messageTruncated": False, "source": "serverless"}
        with self._lock:
            self._logs.setdefault(deployment_id, deque(maxlen=LOG_LINES)).append(full | row)

    def _forget(self, running: Running) -> None:
        with self._lock:
            for key in [key for key, each in self._running.items() if each is running]:
                del self._running[key]
        _end(running.process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        with suppress(OSError):
            process.stdin.close()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _pass_on(running: Running, visit: Visit) -> Answer:
    """Ask the function's own server.

    Raises:
        TimeoutError: It took longer than it may.
        OSError: It is not there any more.
    """
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=running.max_duration)
    try:
        headers = {name: value for name, value in visit.headers.items() if name.lower() not in _NOT_PASSED}
        connection.request(visit.method, visit.target, body=visit.body or None, headers=headers | {"Host": visit.host})
        answer = connection.getresponse()
        return Answer(status=answer.status, headers=dict(answer.getheaders()), body=answer.read())
    finally:
        connection.close()


_NOT_PASSED = {"host", "connection", "transfer-encoding", "content-length", "accept-encoding"}


def _environment(deployment: Deployment, host: str) -> dict[str, str]:
    """What the function sees: the values of its build, and what the platform adds; nothing of ours."""
    git = deployment.git_source or {}
    platform = {
        "VERCEL": "1",
        "VERCEL_ENV": deployment.target or "preview",
        "VERCEL_URL": host,
        "VERCEL_DEPLOYMENT_ID": deployment.id,
        "VERCEL_PROJECT_ID": deployment.project,
        "VERCEL_REGION": "iad1",
        "VERCEL_GIT_COMMIT_SHA": str(deployment.meta.get("githubCommitSha") or git.get("sha") or ""),
    }
    ours = {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return {**ours, **deployment.env, **platform}
