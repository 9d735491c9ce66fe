# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs of playbooks in one test session share, so that each of them costs less than a user's first.

Made once, from sources that do not change meanwhile, are the archive in which ansible sends a module
(``bin/ansible-playbook``), and the code into which Python compiles what is in it (``startup/sitecustomize.py``). The
first run of a session makes them as any other would. Imported once is what modules import (``bin/ansible-warm``), and
what ansible does (``bin/ansible-ready``). ``tests/run/molecule`` uses the same.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from harness.children import MARK
from harness.paths import COLLECTIONS

HERE = Path(__file__).parent
#: ``ansible-playbook``
PLAYBOOK = HERE / "bin" / "ansible-playbook"
WARM = HERE / "bin" / "ansible-warm"
READY = HERE / "bin" / "ansible-ready"
#: Whoever sets one of these has other sources than the checkout's, or other modules.
_OTHERWISE = ("PYTHONPATH", "ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_LIBRARY", "ANSIBLE_MODULE_UTILS", "ANSIBLE_CONFIG")


def may_share(python: str, environment: Mapping[str, str]) -> bool:
    """Whether a run with these variables beside the usual ones would make the same as all others."""
    return python == sys.executable and not any(name in environment for name in _OTHERWISE)


def variables() -> dict[str, str]:
    """What a run needs to share."""
    paths = [str(COLLECTIONS), str(HERE / "startup")]
    return {"HARNESS_CACHE": str(_directory()), "PYTHONPATH": os.pathsep.join(paths)}


@cache
def playbooks() -> dict[str, str]:
    """What hands a run over to those who have imported what its modules need."""
    return {"HARNESS_PLAYBOOKS": _listening(WARM, str(COLLECTIONS))}


@cache
def ansible() -> dict[str, str]:
    """What hands it over to those who have imported ansible: the settings with which they do it are one session's."""
    path = _listening(READY, variables()["PYTHONPATH"])
    home = Path(path).with_name("ansible")
    temporary = str(home / "tmp")
    return {
        "HARNESS_ANSIBLE": path,
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_LOCAL_TEMP": temporary,
        "ANSIBLE_REMOTE_TEMP": temporary,
    }


def _listening(program: Path, pythonpath: str) -> str:
    """The socket of a server that lives as long as this process; until it listens, runs go on by themselves."""
    made = Path(tempfile.mkdtemp(prefix=f"{MARK}-"))
    path = made / "runs"
    server = subprocess.Popen(
        [sys.executable, "-P", program, path],
        # Without the mark of a test's children, which this is not: it outlives the test.
        env={"LC_ALL": "C.UTF-8", "PYTHONPATH": pythonpath},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )

    def end() -> None:
        assert server.stdin is not None
        server.stdin.close()
        server.wait()
        shutil.rmtree(made, ignore_errors=True)

    atexit.register(end)
    return str(path)


@cache
def _directory() -> Path:
    """The directory of this session, which ends with it, or that of several."""
    if "HARNESS_CACHE" in os.environ:
        return Path(os.environ["HARNESS_CACHE"])
    made = Path(tempfile.mkdtemp(prefix="harness-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made
