# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-test, offline and against a copy.

ansible-test insists on a real directory named ``.../ansible_collections/ops/runbooks`` and on a pip bootstrap script
which it fetches from a host of its own. So the tracked files are copied to such a directory, and the script is one that
copies the tool chain's own pip, laid where ansible-test keeps those that it has fetched. What it keeps between runs
(that script and the environments of its linters) stays in ``<tool chain>/ansible-test``, not in the user's home.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.paths import CHECKOUT

#: The twenty environments of its linters get pip by this; ``ensurepip`` would compile it anew in each of them.
_BOOTSTRAP = """import glob, os, shutil, sysconfig
for path in [{pip!r}, *glob.glob({pip!r} + "-*.dist-info")]:
    shutil.copytree(path, os.path.join(sysconfig.get_path("purelib"), os.path.basename(path)), dirs_exist_ok=True)
"""


def tracked_files() -> list[Path]:
    """What belongs to the project, committed or not, relative to the checkout; nothing that is ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=CHECKOUT, check=True, stdout=subprocess.PIPE
    ).stdout.decode()
    return sorted(Path(name) for name in set(listed.split("\0")) if name and (CHECKOUT / name).is_file())


@contextmanager
def staged() -> Iterator[Path]:
    """A copy of the project where ansible-test accepts it; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="runbooks-stage-") as directory:
        root = Path(directory) / "ansible_collections" / "ops" / "runbooks"
        for name in tracked_files():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, root / name)
        yield root


@contextmanager
def installed(chain: ToolChain) -> Iterator[Path]:
    """What users install: the artifact, built and unpacked where ansible-test accepts it; removed at the end."""
    galaxy = str(chain.directory / "bin" / "ansible-galaxy")
    with staged() as source, tempfile.TemporaryDirectory(prefix="runbooks-stage-") as directory:
        build = [galaxy, "collection", "build", "--output-path", directory]
        subprocess.run(build, cwd=source, env=chain.environment(), check=True, stdout=subprocess.DEVNULL)
        (artifact,) = Path(directory).glob("*.tar.gz")
        root = Path(directory) / "ansible_collections" / "ops" / "runbooks"
        root.mkdir(parents=True)
        with tarfile.open(artifact) as tar:
            tar.extractall(root, filter="data")
        yield root


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolChain:
    """A virtual environment with one ansible-core in it."""

    directory: Path

    @property
    def newest(self) -> bool:
        """Whether it is the one with which the project is made."""
        return self.directory.name == ".venv"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.directory / "bin" / "python"

    def ask(self, expression: str) -> str:
        """What its interpreter makes of an expression."""
        script = f"import sys; print({expression})"
        return subprocess.run([self.python, "-c", script], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    @property
    def version(self) -> str:
        """``3.13``: the Python that ansible-test is asked for."""
        return self.ask("'%d.%d' % sys.version_info[:2]")

    @property
    def core(self) -> str:
        """``2.21.5``"""
        return self.ask("__import__('ansible.release').release.__version__")

    def home(self) -> Path:
        """The private home of its ansible-test, with the bootstrap script in place."""
        home = self.directory / "ansible-test"
        source = Path(self.ask("__import__('ansible_test').__path__[0]")) / "_internal" / "python_requirements.py"
        cache = home / ".ansible" / "test" / "cache"
        cache.mkdir(parents=True, exist_ok=True)
        bootstrap = _BOOTSTRAP.format(pip=self.ask("__import__('pip').__path__[0]"))
        for version in set(re.findall(r"\bpip='([\d.]+)'", source.read_text(encoding="utf-8"))):
            (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(bootstrap, encoding="utf-8")
        return home

    def environment(self) -> dict[str, str]:
        """The caller's environment with that home and this tool chain first on PATH."""
        users = Path.home()
        environment = {**os.environ, "HOME": str(self.home()), "LC_ALL": "C.UTF-8"}
        environment["PATH"] = os.pathsep.join([str(self.directory / "bin"), str(tools()), environment["PATH"]])
        for name in (".config/pip/pip.conf", ".pip/pip.conf"):
            if (users / name).is_file():
                # The user's package index goes with the user's home otherwise.
                environment.setdefault("PIP_CONFIG_FILE", str(users / name))
        for name in [name for name in environment if name.startswith(("ANSIBLE_", "PYTHON"))]:
            del environment[name]
        return environment


def tools() -> Path:
    """The directory of the command line tools (shellcheck) that both tool chains use."""
    return Path(sys.executable).parent


def toolchains() -> list[ToolChain]:
    """The newest and the oldest supported ansible-core, as ``make setup`` has installed them."""
    chains = [ToolChain(directory=CHECKOUT / name) for name in (".venv", ".venv-floor")]
    for chain in chains:
        if not chain.python.exists():
            raise SystemExit(f"{chain.directory.name} is missing: run `make setup`")
    return chains


def on_each(run: Callable[[ToolChain], int]) -> int:
    """Run something with every tool chain at once; 0 where all of it succeeded, else 1."""
    chains = toolchains()
    with ThreadPoolExecutor(len(chains)) as pool:
        return int(any(list(pool.map(run, chains))))


def ansible_test(chain: ToolChain, root: Path, arguments: Sequence[str]) -> int:
    """Run ``ansible-test`` in a staged copy and return its exit status.

    What it prints appears when it has ended, since another one may run beside it, with a line about how it went.
    """
    started = time.monotonic()
    argv = [str(chain.directory / "bin" / "ansible-test"), *arguments]
    ended = subprocess.run(
        argv, cwd=root, env=chain.environment(), check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    took = time.monotonic() - started
    verdict = "passed" if ended.returncode == 0 else f"FAILED with status {ended.returncode}"
    said = ended.stdout.decode("utf-8", "replace").rstrip()
    print(f"{said}\nansible-test {arguments[0]} on ansible-core {chain.core}: {verdict} in {took:.0f} s", flush=True)
    return ended.returncode
