# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directory of a module, and those that killed modules have left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.workspace import workspace

from harness.paths import COLLECTIONS

#: A module that is killed with everybody who would clean up behind it.
KILLED = """
import os, signal, sys
from ansible_collections.ops.runbooks.plugins.module_utils._core.workspace import workspace
with workspace(sys.argv[1]) as path:
    open(os.path.join(path, "definitions.dump"), "w").close()
    print(path, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where ansible makes a directory for each task."""
    for name in ("ansible-moduletmp-1-x", "ansible-tmp-2-y"):
        (tmp_path / name).mkdir(mode=0o700)
    return tmp_path


def killed(root: Path) -> Path:
    """The directory that one has left."""
    parent = root / "ansible-moduletmp-1-x"
    environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS)}
    argv = [sys.executable, "-c", KILLED, str(parent)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = Path(done.stdout.strip())
    assert list(left.iterdir())
    return left


def test_what_a_killed_module_has_left_the_next_one_removes(root: Path) -> None:
    left = killed(root)
    with workspace(str(root / "ansible-tmp-2-y")) as path:
        assert not left.exists()
        assert left.parent.exists(), "that is not ours"
        assert os.stat(path).st_mode & 0o077 == 0
        with workspace(str(root / "ansible-moduletmp-1-x")) as other:
            assert {Path(path).is_dir(), Path(other).is_dir()} == {True}, "nobody takes from the living"
        assert Path(path).is_dir()
        assert not Path(other).exists()
    assert not Path(path).exists()


def test_what_may_be_somebody_elses_stays(root: Path) -> None:
    """Of another machine, another boot, another user or another program."""
    left = killed(root)
    elsewhere = left.rename(left.with_name("runbooks-0123456789ab-x"))
    stranger = root / "not-of-ansible"
    stranger.mkdir()
    beside = Path(shutil.copytree(elsewhere, stranger / left.name))
    with workspace(str(root / "ansible-tmp-2-y")):
        assert elsewhere.exists()
        assert beside.exists()


def test_where_the_boot_is_not_known_everything_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = killed(root)
    monkeypatch.setattr(
        "ansible_collections.ops.runbooks.plugins.module_utils._core.controller._line", lambda _path: ""
    )
    with workspace(str(root / "ansible-tmp-2-y")) as path:
        left.rename(left.with_name(f"{Path(path).name}-too"))
        with workspace(str(root / "ansible-tmp-2-y")):
            assert left.with_name(f"{Path(path).name}-too").exists()


def test_a_directory_of_another_user_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = killed(root)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with workspace(str(root / "ansible-tmp-2-y")):
        assert left.exists()


def test_one_that_was_removed_before_it_was_locked_is_made_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By another module, which could not know better."""
    made: list[str] = []
    mkdtemp = tempfile.mkdtemp

    def unlucky(*args: object, **kwargs: object) -> str:
        made.append(mkdtemp(*args, **kwargs))  # type: ignore[call-overload]
        if len(made) == 1:
            os.rmdir(made[0])
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", unlucky)
    with workspace(str(root / "ansible-tmp-2-y")) as path:
        assert (path, len(made)) == (made[1], 2)
        assert Path(path).is_dir()
