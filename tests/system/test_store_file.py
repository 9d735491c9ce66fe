# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A directory store where the system sets limits: full disks, missing rights, read-only mounts."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Series
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Encryption
from ansible_collections.ops.runbooks.plugins.module_utils._core.store_file import FileStore
from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import DEFAULT_PART, MIB, Budget

from harness.children import clean_environment
from harness.stores import failing, run_context

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")

#: What a child does with the store at the address that it gets; it prints the code of what went wrong.
CHILD = """
import io, os, resource, sys
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Encryption, open_store
from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import Budget
from harness.stores import run_context

store = open_store({}, sys.argv[1], run_context())
if sys.argv[2] == "limited":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, 1024 * 1024))
elif os.geteuid() == 0:
    os.setuid(65534)

def pump():
    with store.sink("a/stream", part_size=8, budget=Budget(), encryption=Encryption()) as sink:
        sink.pump(io.BytesIO(bytes(3 * 1024 * 1024)))
        sink.commit()

for attempt in (
    lambda: store.put("a/large", bytes(2 * 1024 * 1024)),
    lambda: store.create("a/large", bytes(2 * 1024 * 1024)),
    pump,
    lambda: store.delete("a/there"),
):
    try:
        attempt()
        print("done")
    except RunbookError as error:
        print(error.code)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four MiB."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mounted)], stderr=subprocess.PIPE, check=False
    )
    if done.returncode:
        pytest.skip("mounting is not possible here")
    yield mounted
    subprocess.run(["umount", "--lazy", str(mounted)], check=True)


def outcomes(directory: Path, how: str, tmp_path: Path) -> list[str]:
    environment = clean_environment(tmp_path / "home", {"PYTHONPATH": os.pathsep.join(sys.path)})
    argv = [sys.executable, "-c", CHILD, f"file://{directory}", how]
    return subprocess.run(argv, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout.split()


@as_root
def test_a_full_disk(small_disk: Path) -> None:
    store = FileStore(small_disk / "store", run_context())
    store.put("a/kept", b"kept")
    body = os.urandom(8 * MIB)
    with failing("store_full") as failure:
        store.put("a/kept", body)
    assert "a/kept" in failure().message
    with failing("store_full"):
        store.create("a/new", body)
    with (
        failing("store_full"),
        store.sink("a/stream", part_size=DEFAULT_PART, budget=Budget(), encryption=Encryption()) as sink,
    ):
        sink.pump(io.BytesIO(body))
    assert [found.key for found in store.list("")] == ["a/kept"]
    assert list(store.unfinished("")) == []
    assert store.get("a/kept") == b"kept", "what was there is still there"
    assert Series(store, "doc").create_next({}, after=0) is not None, "and there is room again"


def test_a_limit_on_file_sizes(tmp_path: Path) -> None:
    assert outcomes(tmp_path / "store", "limited", tmp_path) == ["store_full", "store_full", "store_full", "done"]
    assert [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


@as_root
def test_no_right_to_write(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    directory = Path("/var/tmp") / f"{tmp_path.name}-{os.getpid()}"
    store = FileStore(directory, run_context())
    store.put("a/there", b"1")
    for path in (directory, directory / "a"):
        path.chmod(0o755)
    try:
        assert outcomes(directory, "unprivileged", tmp_path) == ["store_denied"] * 4
        assert [found.key for found in store.list("")] == ["a/there"]
    finally:
        store.delete("a/there")
        (directory / "a").rmdir()
        directory.rmdir()


@as_root
def test_a_read_only_mount(small_disk: Path) -> None:
    store = FileStore(small_disk / "store", run_context())
    store.put("a/there", b"1")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with failing("store_denied"):
        store.put("a/there", b"2")
    with failing("store_denied"):
        store.delete("a/there")
    assert store.get("a/there") == b"1"
