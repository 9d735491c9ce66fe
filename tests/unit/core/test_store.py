# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses, keys, and the store in a directory. What both back ends promise is in ``tests/system/test_store.py``."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ops.runbooks.plugins.doc_fragments._store import ModuleDocFragment
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import (
    RUN_SPEC,
    S3_SPEC,
    STORE_SPEC,
    Encryption,
    Store,
    Unfinished,
    check_key,
    open_store,
)
from ansible_collections.ops.runbooks.plugins.module_utils._core.store_file import FileStore
from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import DEFAULT_PART, Budget
from ansible_collections.ops.runbooks.plugins.module_utils._core.version import VERSION
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.paths import CHECKOUT
from harness.stores import failing, run_context

#: Characters around the slash in the order of bytes, and some that are more than one byte long.
PARTS = st.text("a.-0_éß中", min_size=1, max_size=3).filter(lambda part: part not in (".", ".."))
KEYS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store", run_context())


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ("file:///var/backups", "file:///var/backups"),
        ("file:///var/backups/", "file:///var/backups"),
        ("file:///with%20blank", "file:///with blank"),
    ],
)
def test_address(address: str, shown: str) -> None:
    assert open_store({}, address, run_context()).url == shown


@pytest.mark.parametrize(
    "address",
    [
        "",
        "bucket",
        "/var/backups",
        "http://bucket",
        "s3:bucket",
        "s3://",
        "s3:///prefix",
        "s3://b",
        "s3://bucket/a/../b",
        "s3://bucket/a//b",
        "file://relative/directory",
        "file://~/backups",
        "file:///var/../etc",
        "file:///line%0Afeed",
    ],
)
def test_bad_address(address: str) -> None:
    with failing("invalid_parameter"):
        open_store({}, address, run_context())


def test_credentials_in_an_address_are_refused_and_hidden() -> None:
    context = run_context()
    with failing("invalid_parameter") as failure:
        open_store({}, "s3://AKIA:hunter2hunter2@bucket/prefix", context)
    assert "hunter2hunter2" not in failure().message
    assert "hunter2hunter2" not in context.redactor.text("hunter2hunter2")


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\nb", "a\0b", "a/.tmp-x/b", "a" * 256, "a/" * 600 + "a"],
)
def test_bad_key(key: str) -> None:
    with failing("invalid_parameter"):
        check_key(key)


@given(KEYS)
def test_good_key(key: str) -> None:
    assert check_key(key) == key


def test_a_prefix_counts_for_the_length_of_a_key() -> None:
    key = "/".join(["a" * 250] * 4)
    check_key(key)
    with failing("invalid_parameter"):
        check_key(key, "long-prefix-of-the-store/")


@settings(deadline=None)
@given(keys=st.sets(KEYS, max_size=12), prefix=st.one_of(st.just(""), KEYS), after=st.one_of(st.just(""), KEYS))
def test_list_is_sorted_by_bytes(tmp_path_factory: Any, keys: set[str], prefix: str, after: str) -> None:
    # A file cannot lie where a directory does, as an object can in a bucket.
    keys = {key for key in keys if not any(other.startswith(f"{key}/") for other in keys)}
    store = FileStore(tmp_path_factory.mktemp("store") / "leaf", run_context())
    for key in keys:
        store.put(key, key.encode())
    expected = sorted((key for key in keys if key.startswith(prefix) and key > after), key=str.encode)
    assert [found.key for found in store.list(prefix, after=after)] == expected


def test_directories_and_files_are_private(store: FileStore, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        store.put("a/b/put", b"")
        store.create("a/b/create", b"")
        with store.sink("a/b/sink", part_size=DEFAULT_PART, budget=Budget(), encryption=Encryption()) as sink:
            sink.commit()
    finally:
        os.umask(old)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "store").rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert len(modes) == 5


def test_a_store_not_made_yet_is_empty_and_stays_unmade(store: FileStore, tmp_path: Path) -> None:
    assert store.get("a") is None
    assert store.head("a") is None
    assert list(store.list("")) == []
    assert list(store.unfinished("a/")) == []
    store.delete("a")
    assert not (tmp_path / "store").exists()


def test_a_missing_parent_is_a_missing_store(tmp_path: Path) -> None:
    """A disk that is not mounted: the directory must not be filled beneath its mount point."""
    store = FileStore(tmp_path / "mnt" / "store", run_context())
    for attempt in (lambda: store.put("a", b""), lambda: store.get("a"), lambda: list(store.list(""))):
        with failing("store_missing"):
            attempt()
    assert not (tmp_path / "mnt").exists()


@pytest.mark.parametrize("key", ["link/inside", "dir/link/inside", "file-link"])
def test_links_are_not_followed(store: FileStore, tmp_path: Path, key: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "inside").write_text("secret")
    store.put("dir/x", b"")
    (tmp_path / "store" / "link").symlink_to(outside)
    (tmp_path / "store" / "dir" / "link").symlink_to(outside)
    (tmp_path / "store" / "file-link").symlink_to(outside / "inside")
    with failing("store_failed"):
        store.get(key)
    with failing("store_failed"):
        store.create(key, b"new")
    assert [found.key for found in store.list("")] == ["dir/x"]
    assert [path.name for path in outside.iterdir()] == ["inside"]
    assert (outside / "inside").read_text() == "secret"


def test_below_a_file_there_is_nothing(store: FileStore) -> None:
    store.put("a", b"1")
    assert store.get("a/b") is None
    assert list(store.list("a/")) == []
    with failing("store_failed"):
        store.put("a/b", b"2")


def test_put_over_a_link_replaces_the_link(store: FileStore, tmp_path: Path) -> None:
    store.put("x", b"")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "store" / "link").symlink_to(tmp_path / "secret")
    store.put("link", b"new")
    assert store.get("link") == b"new"
    assert (tmp_path / "secret").read_text() == "secret"


def test_the_root_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    store = FileStore(tmp_path / "link", run_context())
    store.put("a/b", b"1")
    assert (tmp_path / "real" / "a" / "b").read_bytes() == b"1"


def test_a_link_to_another_directory_is_refused_even_when_it_appears_later(store: FileStore, tmp_path: Path) -> None:
    store.put("a/b", b"1")
    (tmp_path / "store" / "a").rename(tmp_path / "moved")
    (tmp_path / "store" / "a").symlink_to(tmp_path / "moved")
    with failing("store_failed"):
        store.delete("a/b")
    assert (tmp_path / "moved" / "b").exists()


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "store_full"),
        (errno.EDQUOT, "store_full"),
        (errno.EFBIG, "store_full"),
        (errno.EACCES, "store_denied"),
        (errno.EPERM, "store_denied"),
        (errno.EROFS, "store_denied"),
        (errno.EIO, "store_failed"),
        (errno.ENOENT, "object_missing"),
    ],
)
def test_system_errors(store: FileStore, number: int, code: str) -> None:
    failure = store.failure(OSError(number, os.strerror(number)), "write to the store", "a/b")
    assert failure.code == code
    assert "store/a/b" in failure.message


def test_errors_of_the_consumer_are_its_own(store: FileStore) -> None:
    store.put("a", b"1")
    with pytest.raises(BrokenPipeError), store.open("a"):
        raise BrokenPipeError


def test_a_directory_store_does_not_pretend_to_encrypt(store: FileStore) -> None:
    with failing("invalid_parameter"):
        store.sink("a", part_size=DEFAULT_PART, budget=Budget(), encryption=Encryption(mode="sse-s3"))


def test_a_killed_writer_leaves_what_can_be_found(store: FileStore, tmp_path: Path) -> None:
    store.put("env/x", b"")
    (tmp_path / "store" / "env" / ".tmp-0123456789ab").write_bytes(b"half")
    (left,) = store.unfinished("env/")
    assert list(store.unfinished("other/")) == []
    assert [found.key for found in store.list("")] == ["env/x"]
    store.abandon(left)
    store.abandon(left)
    assert list(store.unfinished("")) == []


def test_without_hard_links_nothing_is_created(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as exFAT, which no test machine has to have mounted."""

    def refuse(*_args: object, **_keywords: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    with failing("store_not_conditional"):
        store.create("a", b"1")
    assert list(store.unfinished("")) == []


WRITES: dict[str, Callable[[Store], object]] = {
    "put": lambda store: store.put("a", b""),
    "create": lambda store: store.create("a", b""),
    "delete": lambda store: store.delete("a"),
    "abandon": lambda store: store.abandon(Unfinished(key="a", handle="a", started=datetime.now(UTC))),
    "sink": lambda store: store.sink("a", part_size=DEFAULT_PART, budget=Budget(), encryption=Encryption()).__enter__(),
    "now": lambda store: store.now(may_write=True),
}


@pytest.mark.parametrize(
    ("address", "write"),
    # Asking a bucket for its time writes nothing.
    [("file://{}", name) for name in WRITES] + [("s3://bucket/prefix", name) for name in WRITES if name != "now"],
)
def test_check_mode_cannot_write(address: str, write: str, tmp_path: Path) -> None:
    params = {"access_key": "a", "secret_key": "bbbbbbbb", "endpoint_url": "http://127.0.0.1:9", "region": "r"}
    store = open_store(params, address.format(tmp_path / "store"), run_context(check_mode=True))
    with pytest.raises(ValueError, match="check mode"):
        WRITES[write](store)
    assert not (tmp_path / "store").exists()


def test_documentation_and_specs_have_the_same_options() -> None:
    store = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    s3 = yaml.safe_load(ModuleDocFragment.S3)["options"]
    run = yaml.safe_load(ModuleDocFragment.RUN)["options"]
    assert not set(store) & set(s3), "documented twice"
    for documented, spec in ((store | s3, STORE_SPEC), (s3, S3_SPEC), (run, RUN_SPEC)):
        assert set(documented) == set(spec.options)
        for name, option in spec.options.items():
            said = {key: documented[name].get(key) for key in ("type", "required", "choices", "default")}
            assert said == {key: option.get(key) for key in said}


def test_version_is_that_of_the_collection() -> None:
    galaxy = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text(encoding="utf-8"))
    assert galaxy["version"] == VERSION


def test_failure_has_no_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "tokentoken")
    context = run_context()
    open_store({}, "s3://bucket", context)
    assert context.redactor.text("hunter2hunter2 tokentoken").count("*") == 16


def test_without_boto3_the_failure_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)
    with failing("library_missing") as failure:
        open_store({}, "s3://bucket", run_context()).get("a")
    assert "boto3" in failure().message


def test_object_missing_is_told_apart(store: FileStore) -> None:
    with pytest.raises(RunbookError), store.open("a"):
        pass
    with failing("object_missing"), store.open("a"):
        pass
