# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""s3_upload on a real S3 server."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_client import Bucket
from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_sink import S3Sink
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Encryption
from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import Budget

from harness.modules import ModuleRunner, Outcome, read_outcome
from harness.servers import S3StoreAt
from harness.stores import failing, run_context
from sandbox.faults import Fault, FaultProxy

MIB = 1024 * 1024
Upload = Callable[..., Outcome]


@pytest.fixture
def upload(run_module: ModuleRunner, s3_store: S3StoreAt) -> Upload:
    """``upload(object=, src=, ..., check=)``, keys and prefixes within a place of the test's own."""

    def call(*, check: bool = False, diff: bool = False, **params: Any) -> Outcome:
        for option in ("object", "prefix"):
            if option in params:
                params[option] = f"{s3_store.prefix}/{params[option]}".rstrip("/")
        args = {**s3_store.options, "bucket": s3_store.bucket, **params}
        return run_module("s3_upload", args, check=check, diff=diff)

    return call


def head(store: S3StoreAt, key: str) -> dict[str, Any]:
    answer: dict[str, Any] = store.client.head_object(Bucket=store.bucket, Key=f"{store.prefix}/{key}")
    return answer


def predicted(upload: Upload, **params: Any) -> Outcome:
    """The real run, whose plan and result check mode has told before."""
    told = upload(check=True, **params).ok()
    done = upload(**params).ok()
    assert told["plan"] == done["plan"]
    assert told.changed == done.changed
    without = [{**entry, "version_id": None} for entry in done["upload"]["objects"]]
    assert [{**entry, "version_id": None} for entry in told["upload"]["objects"]] == without
    return done


def test_content_with_everything(upload: Upload, s3_store: S3StoreAt) -> None:
    asked = {
        "object": "notes/current.json",
        "content": '{"ü": 1}',
        "content_type": "application/json",
        "cache_control": "no-store",
        "content_disposition": "attachment",
        "content_language": "de",
        "metadata": {"release": 7},
        "tags": {"team": "a + b/c"},
        "encryption": "sse-s3",
        "storage_class": "STANDARD_IA",
    }
    done = predicted(upload, **asked)
    body = '{"ü": 1}'.encode()
    (entry,) = done["upload"]["objects"]
    assert (entry["bytes"], entry["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    assert s3_store.read("notes/current.json") == body
    there = head(s3_store, "notes/current.json")
    assert there["ContentType"] == "application/json"
    assert (there["CacheControl"], there["ContentDisposition"], there["ContentLanguage"]) == (
        "no-store",
        "attachment",
        "de",
    )
    assert there["Metadata"] == {"release": "7", "sha256": entry["sha256"]}
    assert (there["ServerSideEncryption"], there["StorageClass"]) == ("AES256", "STANDARD_IA")
    key = f"{s3_store.prefix}/notes/current.json"
    tags = s3_store.client.get_object_tagging(Bucket=s3_store.bucket, Key=key)["TagSet"]
    assert tags == [{"Key": "team", "Value": "a + b/c"}]
    assert not predicted(upload, **asked).changed
    assert predicted(upload, **{**asked, "tags": {}}).changed
    assert predicted(upload, **{**asked, "tags": {}, "cache_control": None}).changed
    assert "CacheControl" not in head(s3_store, "notes/current.json")
    assert not upload(**{**asked, "content": "other", "overwrite": "never"}).ok().changed
    assert s3_store.read("notes/current.json") == body
    shown = upload(**{**asked, "content": "other"}, check=True, diff=True).ok()
    assert shown["diff"]["before"][key]["sha256"] == entry["sha256"]
    assert shown["diff"]["after"][key]["bytes"] == 5
    assert predicted(upload, object="notes/current.json", state="absent").changed
    assert s3_store.keys() == []
    assert not predicted(upload, object="notes/current.json", state="absent").changed


def test_a_file_of_several_parts(upload: Upload, s3_store: S3StoreAt, tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(os.urandom(MIB) * 33 + b"end")
    done = upload(object="big", src=str(path), tags={"kind": "big"}, overwrite="never").ok()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert done["upload"]["objects"][0]["sha256"] == digest
    assert hashlib.sha256(s3_store.read("big")).hexdigest() == digest
    there = head(s3_store, "big")
    assert there["ETag"].strip('"').endswith("-3"), "it was a multipart upload"
    assert there["Metadata"] == {"sha256": digest}
    assert not upload(object="big", src=str(path), tags={"kind": "big"}).ok().changed
    assert s3_store.unfinished() == []


def test_what_others_did_to_an_object_is_noticed(upload: Upload, s3_store: S3StoreAt, tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("content", encoding="utf-8")
    asked = {"object": "file.txt", "src": str(path)}
    assert upload(**asked).ok().changed
    digest = head(s3_store, "file.txt")["Metadata"]["sha256"]
    key = f"{s3_store.prefix}/file.txt"
    for damage in (
        {"Body": b"content", "Metadata": {}},
        {"Body": b"content", "Metadata": {"sha256": "0" * 64}},
        {"Body": b"longer content", "Metadata": {"sha256": digest}},
        {"Body": b"content", "Metadata": {"sha256": digest, "other": "x"}},
    ):
        s3_store.client.put_object(Bucket=s3_store.bucket, Key=key, **damage)
        assert predicted(upload, **asked).changed
        assert head(s3_store, "file.txt")["Metadata"] == {"sha256": digest}
        assert s3_store.read("file.txt") == b"content"
    # Its touching alone means nothing: what counts is what is in it.
    os.utime(path, (1, 1))
    assert not upload(**asked).ok().changed


ODD = ("a b/ä&?#%+~.txt", "line\nbreak", "quote'\"\\", "<xml>&amp;", "日本", "-dash", "...", " space ", "%2F", "a//b")


def test_a_directory_with_odd_names(upload: Upload, s3_store: S3StoreAt, tmp_path: Path) -> None:
    top = tmp_path / "tree"
    for name in ODD:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(name, encoding="utf-8")
    (top / "empty").touch()
    names = sorted(path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file())
    s3_store.write("site-staging/keep", b"")
    s3_store.write("site/foreign", b"")
    done = predicted(upload, prefix="site", src=str(top), exclude=["*.map"])
    assert done["upload"]["changed_count"] == len(names)
    assert s3_store.keys("site/") == sorted([*(f"site/{name}" for name in names), "site/foreign"])
    assert all(s3_store.read(f"site/{name}") == (top / name).read_bytes() for name in names)
    assert not predicted(upload, prefix="site", src=str(top)).changed
    (top / "empty").write_text("no longer", encoding="utf-8")
    again = predicted(upload, prefix="site", src=str(top))
    assert [each["key"] for each in again["upload"]["objects"] if each["changed"]] == [f"{s3_store.prefix}/site/empty"]
    assert predicted(upload, prefix="site", src=str(top), state="absent").changed
    assert s3_store.keys() == ["site-staging/keep", "site/foreign"]
    upload(prefix="site", state="absent").refused("invalid_parameter")
    assert predicted(upload, prefix="site", state="absent", purge=True).changed
    assert s3_store.keys() == ["site-staging/keep"]
    assert not predicted(upload, prefix="site", state="absent", purge=True).changed


def test_more_small_files_than_a_page(upload: Upload, s3_store: S3StoreAt, tmp_path: Path) -> None:
    """What is there is listed in pages, of a thousand at S3 and of thirty here."""
    top = tmp_path / "many"
    top.mkdir()
    for number in range(101):
        (top / f"{number}.txt").write_text(f"file {number}", encoding="utf-8")
    with FaultProxy(s3_store.server.endpoint_url) as proxy:
        proxy.rules.append(Fault(action="s3:ListObjectsV2", page=30))
        done = upload(prefix="many", src=str(top), endpoint_url=proxy.endpoint_url).ok()
        assert done["upload"]["changed_count"] == 101
        assert len(done["plan"]["steps"]) < 50
        assert len(s3_store.keys()) == 101
        assert not upload(prefix="many", src=str(top), endpoint_url=proxy.endpoint_url).ok().changed
        assert proxy.count(action="s3:ListObjectsV2") >= 5


def test_a_file_that_changes_while_it_is_sent(
    upload: Upload, run_module: ModuleRunner, s3_store: S3StoreAt, tmp_path: Path
) -> None:
    """Nothing appears under its key, and nothing is left of the upload."""
    path = tmp_path / "growing"
    path.write_bytes(bytes(40 * MIB))
    args = {**s3_store.options, "bucket": s3_store.bucket, "object": f"{s3_store.prefix}/growing", "src": str(path)}
    child = run_module.start("s3_upload", args)
    with path.open("ab") as stream:
        while child.process.poll() is None:
            stream.write(b"x")
            stream.flush()
            time.sleep(0.02)
    read_outcome(child.wait(60)).refused("source_changed")
    assert s3_store.keys() == []
    assert s3_store.unfinished() == []


def test_what_cannot_be_done_is_said(upload: Upload, run_module: ModuleRunner, s3_store: S3StoreAt) -> None:
    upload(object="x", src="/nonexistent/file").refused("source_missing")
    upload(prefix="x", content="y").refused("invalid_parameter")
    upload(object="x").refused("invalid_parameter")
    args = {**s3_store.options, "bucket": "no-such-bucket-here", "object": "x", "content": "y"}
    assert run_module("s3_upload", args).failed
    unknown = {**args, "bucket": s3_store.bucket, "endpoint_url": "http://127.0.0.1:9"}
    assert run_module("s3_upload", unknown, timeout=200).refused("store_unreachable")


def test_an_upload_that_was_dropped_over_an_older_object(s3_store: S3StoreAt) -> None:
    """What lies there then has the right size, and is not what was sent."""
    bucket = Bucket(s3_store.bucket, s3_store.url, s3_store.options, run_context())
    key, body = f"{s3_store.prefix}/twice", os.urandom(6 * MIB)
    older = bytes(len(body))
    s3_store.client.put_object(
        Bucket=s3_store.bucket, Key=key, Body=older, Metadata={"sha256": hashlib.sha256(older).hexdigest()}
    )
    attributes = {"Metadata": {"sha256": hashlib.sha256(body).hexdigest()}}
    with S3Sink(
        bucket, key, key, part_size=5 * MIB, budget=Budget(), encryption=Encryption(), attributes=attributes
    ) as sink:
        sink.pump(io.BytesIO(body))
        (left,) = s3_store.client.list_multipart_uploads(Bucket=s3_store.bucket, Prefix=key)["Uploads"]
        s3_store.client.abort_multipart_upload(Bucket=s3_store.bucket, Key=key, UploadId=left["UploadId"])
        with failing("store_failed") as failure:
            sink.commit()
    assert "the upload was dropped" in failure().message
    assert s3_store.read("twice") == older


def test_who_comes_second_does_not_overwrite(s3_store: S3StoreAt) -> None:
    """S3 itself decides between two that both saw nothing there."""
    bucket = Bucket(s3_store.bucket, s3_store.url, s3_store.options, run_context())
    key = f"{s3_store.prefix}/once"
    with S3Sink(bucket, key, key, part_size=MIB, budget=Budget(), encryption=Encryption(), only_new=True) as late:
        late.pump(io.BytesIO(b"second"))
        s3_store.write("once", b"first")
        with failing("object_exists"):
            late.commit()
    assert s3_store.read("once") == b"first"
