# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An S3 store that goes wrong: refusals, lost answers, dropped connections, damage. And what only a bucket has."""

from __future__ import annotations

import io
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import Clock
from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Series, require_conditional
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Encryption, Store, Unfinished, open_store
from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import MIB, Budget

from harness.children import clean_environment
from harness.servers import S3StoreAt, s3_client
from harness.stores import failing, open_at, run_context
from sandbox import S3Server
from sandbox.faults import Fault, FaultProxy, deny, without_conditional_writes


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FaultProxy]:
    with FaultProxy(s3.endpoint_url) as started:
        yield started


@pytest.fixture
def context() -> Context:
    return run_context()


@pytest.fixture
def spoilt(s3_store: S3StoreAt, proxy: FaultProxy, context: Context) -> Store:
    """The store as it is seen through the proxy."""
    return open_at(s3_store, context, endpoint_url=proxy.endpoint_url)


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the developer's: no AWS_*, no files, no machine's role."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def upload(store: Store, data: bytes, key: str = "s/x", *, encryption: Encryption | None = None) -> None:
    encryption = encryption or Encryption()
    with store.sink(key, part_size=5 * MIB, budget=Budget(), encryption=encryption) as sink:
        sink.pump(io.BytesIO(data))
        sink.commit()


LARGE = os.urandom(12 * MIB)

ACTIONS: dict[str, tuple[str, str, Callable[[Store], object]]] = {
    "put": ("s3:PutObject", "s3:PutObject", lambda store: store.put("a/b", b"")),
    "create": ("s3:PutObject", "s3:PutObject", lambda store: store.create("a/b", b"")),
    "get": ("s3:GetObject", "s3:GetObject", lambda store: store.get("a/b")),
    "head": ("s3:HeadObject", "s3:GetObject", lambda store: store.head("a/b")),
    "list": ("s3:ListObjectsV2", "s3:ListBucket", lambda store: list(store.list("a/"))),
    "now": ("s3:ListObjectsV2", "s3:ListBucket", lambda store: list(store.list("a/"))),
    "delete": ("s3:DeleteObject", "s3:DeleteObject", lambda store: store.delete("a/b")),
    "begin": ("s3:CreateMultipartUpload", "s3:PutObject", lambda store: upload(store, LARGE)),
    "part": ("s3:UploadPart", "s3:PutObject", lambda store: upload(store, LARGE)),
    "complete": ("s3:CompleteMultipartUpload", "s3:PutObject", lambda store: upload(store, LARGE)),
    "unfinished": (
        "s3:ListMultipartUploads",
        "s3:ListBucketMultipartUploads",
        lambda store: list(store.unfinished("a/")),
    ),
    "abandon": (
        "s3:AbortMultipartUpload",
        "s3:AbortMultipartUpload",
        lambda store: store.abandon(Unfinished(key="a/b", handle="x", started=store.now())),
    ),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_a_denied_action_is_named(spoilt: Store, proxy: FaultProxy, s3_store: S3StoreAt, name: str) -> None:
    request, action, attempt = ACTIONS[name]
    proxy.rules.append(deny(request))
    with failing("store_denied") as failure:
        attempt(spoilt)
    assert failure().as_failure()["denied_action"] == action
    assert f"Allow {action} on arn:aws:s3:::{s3_store.bucket}" in failure().message
    assert s3_store.unfinished() == []


@pytest.mark.parametrize(
    ("code", "status", "failure"),
    [
        ("ExpiredToken", 400, "store_credentials"),
        ("InvalidAccessKeyId", 403, "store_credentials"),
        ("SignatureDoesNotMatch", 403, "store_credentials"),
        ("RequestTimeTooSkewed", 403, "store_denied"),
        ("NoSuchBucket", 404, "store_missing"),
        ("QuotaExceeded", 403, "store_full"),
        ("InsufficientStorage", 507, "store_full"),
        ("AuthorizationHeaderMalformed", 400, "store_failed"),
        ("InvalidObjectState", 403, "store_failed"),
        ("NotImplemented", 501, "store_not_conditional"),
        ("SomethingNew", 400, "store_failed"),
    ],
)
def test_answers(spoilt: Store, proxy: FaultProxy, context: Context, code: str, status: int, failure: str) -> None:
    proxy.rules.append(Fault(status=status, code=code))
    with failing(failure) as failed:
        spoilt.create("a/b", b"body")
    assert code in failed().message or failure in ("store_credentials", "store_missing")
    assert context.redactor.text(failed().message) == failed().message, "nothing had to be masked"


@pytest.mark.parametrize("status", [500, 503])
def test_a_store_that_is_busy_for_a_moment(spoilt: Store, proxy: FaultProxy, status: int) -> None:
    proxy.rules.append(Fault(status=status, times=2))
    spoilt.put("a/b", b"1")
    assert proxy.count(status=status) == 2
    proxy.rules[:] = [Fault(action="s3:UploadPart", status=status, skip=1, times=2)]
    upload(spoilt, LARGE)
    assert spoilt.get("s/x") == LARGE


def test_a_store_that_stays_busy(spoilt: Store, proxy: FaultProxy) -> None:
    proxy.rules.append(Fault(status=503))
    with failing("store_failed") as failure:
        spoilt.put("a/b", b"1")
    assert "SlowDown" in failure().message
    assert proxy.count() == 5


def test_a_create_whose_answer_was_lost_has_won(spoilt: Store, proxy: FaultProxy) -> None:
    """The client sends it again, and the store refuses it: the object is there, and it is ours."""
    proxy.rules.append(Fault(action="s3:PutObject", cut_response=0, times=1))
    assert spoilt.create("a/b", b"token 1")
    assert proxy.count(action="s3:PutObject", status=412) == 1
    assert not spoilt.create("a/b", b"token 2")


def test_a_create_during_another_one_is_repeated(spoilt: Store, proxy: FaultProxy) -> None:
    proxy.rules.append(Fault(action="s3:PutObject", status=409, code="ConditionalRequestConflict", times=2))
    assert spoilt.create("a/b", b"1")
    proxy.rules[:] = [Fault(action="s3:PutObject", status=409, code="ConditionalRequestConflict", times=1)]
    assert not spoilt.create("a/b", b"2"), "what is there by then is another's"


def test_a_store_without_conditional_writes_is_found_out(spoilt: Store, proxy: FaultProxy, context: Context) -> None:
    proxy.rules.append(without_conditional_writes())
    for _each in range(2):
        with failing("store_not_conditional"):
            require_conditional(spoilt, context)


def test_a_document_whose_answers_are_lost(spoilt: Store, proxy: FaultProxy) -> None:
    series = Series(spoilt, "doc")
    proxy.rules.append(Fault(action="s3:PutObject", cut_response=0, times=1))
    first = series.create_next({"n": 1}, after=0)
    assert first is not None
    proxy.rules[:] = [Fault(action="s3:PutObject", cut_response=0, times=1)]
    assert series.rewrite(first, {"n": 2}) is not None
    current = series.current()
    assert current is not None
    assert current.body["n"] == 2


@pytest.mark.parametrize(
    "fault",
    [
        Fault(action="s3:UploadPart", cut_request=MIB, times=1),
        Fault(action="s3:UploadPart", cut_response=0, times=2),
        Fault(action="s3:CreateMultipartUpload", status=500, times=1),
        Fault(action="s3:CompleteMultipartUpload", status=503, times=1),
        Fault(action="s3:CompleteMultipartUpload", cut_response=0, times=1),
        Fault(action="s3:HeadObject", status=503, times=1),
        Fault(action="s3:UploadPart", status=400, code="BadDigest", times=2),
    ],
    ids=lambda fault: f"{fault.action}-{fault.status or 'cut'}",
)
def test_an_upload_survives(spoilt: Store, proxy: FaultProxy, s3_store: S3StoreAt, fault: Fault) -> None:
    proxy.rules.append(Fault(**{name: getattr(fault, name) for name in FIELDS}))
    upload(spoilt, LARGE)
    assert s3_store.read("s/x") == LARGE
    assert fault.times is not None
    assert proxy.rules[0].seen > fault.times


FIELDS = ("action", "status", "code", "cut_request", "cut_response", "times")


@pytest.mark.parametrize("parts", ["one", "several"])
def test_an_upload_whose_completion_is_never_answered_is_looked_at(
    spoilt: Store, proxy: FaultProxy, s3_store: S3StoreAt, parts: str
) -> None:
    """Every answer is lost; yet the first request was carried out."""
    if parts == "several":
        proxy.rules.append(Fault(action="s3:CompleteMultipartUpload", cut_response=0))
        upload(spoilt, LARGE)
        assert s3_store.read("s/x") == LARGE
    else:
        proxy.rules.append(Fault(action="s3:PutObject", cut_response=0, times=2))
        upload(spoilt, b"small")
        assert s3_store.read("s/x") == b"small"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(action="s3:UploadPart", status=503, skip=1), "store_failed"),
        (Fault(action="s3:UploadPart", status=400, code="BadDigest", skip=1), "store_failed"),
        (Fault(action="s3:UploadPart", cut_request=MIB, skip=1), "store_unreachable"),
        (Fault(action="s3:CompleteMultipartUpload", status=503), "store_failed"),
    ],
    ids=["busy", "damaged", "dropped", "incomplete"],
)
def test_an_upload_that_fails_leaves_nothing(
    spoilt: Store, proxy: FaultProxy, s3_store: S3StoreAt, fault: Fault, code: str
) -> None:
    proxy.rules.append(fault)
    with failing(code):
        upload(spoilt, LARGE)
    proxy.rules.clear()
    assert s3_store.keys() == []
    assert s3_store.unfinished() == []


def test_an_abort_that_fails_does_not_hide_why(
    spoilt: Store, proxy: FaultProxy, s3_store: S3StoreAt, context: Context
) -> None:
    proxy.rules.append(Fault(action="s3:UploadPart", status=400, code="EntityTooSmall", skip=1))
    proxy.rules.append(deny("s3:AbortMultipartUpload"))
    with failing("store_failed") as failure:
        upload(spoilt, LARGE)
    assert "EntityTooSmall" in failure().message
    (warning,) = context.warnings
    assert "s3:AbortMultipartUpload" in warning
    assert len(s3_store.unfinished()) == 1
    proxy.rules.clear()
    for left in spoilt.unfinished(""):
        spoilt.abandon(left)
    assert s3_store.unfinished() == []


def test_an_upload_that_somebody_dropped(spoilt: Store, s3_store: S3StoreAt) -> None:
    with spoilt.sink("s/x", part_size=5 * MIB, budget=Budget(), encryption=Encryption()) as sink:
        sink.pump(io.BytesIO(LARGE))
        for left in spoilt.unfinished(""):
            spoilt.abandon(left)
        with failing("store_failed") as failure:
            sink.commit()
    assert "was dropped" in failure().message
    assert s3_store.keys() == []


def test_parts_of_an_upload_that_somebody_dropped(s3_store: S3StoreAt) -> None:
    store = open_at(s3_store)

    class Source(io.BytesIO):
        """The upload is dropped after its first part."""

        def readinto(self, buffer: Any, /) -> int:
            for left in store.unfinished("") if self.tell() == 10 * MIB else ():
                store.abandon(left)
            return super().readinto(buffer)

    with (
        failing("store_failed") as failure,
        store.sink("s/x", part_size=5 * MIB, budget=Budget(), encryption=Encryption()) as sink,
    ):
        sink.pump(Source(LARGE))
    assert "lifecycle rule" in failure().message


@pytest.mark.parametrize("action", ["s3:PutObject", "s3:GetObject", "s3:ListObjectsV2"])
def test_a_signal_is_not_taken_for_a_failing_network(spoilt: Store, proxy: FaultProxy, action: str) -> None:
    """The client would try again, succeed, and the run that was told to stop would go on."""

    def stop(_number: int, _frame: object) -> None:
        raise RunbookError(code="run_aborted", attempted="go on", object="SIGUSR1", reason="told to", remedy="Again.")

    spoilt.put("a/b", b"1")
    proxy.rules.append(Fault(action=action, delay=2))
    previous = signal.signal(signal.SIGUSR1, stop)
    try:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        started = time.monotonic()
        with failing("run_aborted"):
            for _attempt in range(3):
                spoilt.put("a/b", b"2")
                spoilt.get("a/b")
                list(spoilt.list(""))
        assert time.monotonic() - started < 2
    finally:
        signal.signal(signal.SIGUSR1, previous)


@pytest.mark.parametrize("other", [b"short", bytes(len(LARGE))], ids=["size", "content"])
def test_what_is_not_what_was_sent_is_found_out(
    spoilt: Store, proxy: FaultProxy, s3_store: S3StoreAt, other: bytes
) -> None:
    """The object is replaced between its completion and the look at it."""
    proxy.rules.append(Fault(action="s3:HeadObject", delay=1.5))
    with spoilt.sink("s/x", part_size=5 * MIB, budget=Budget(), encryption=Encryption()) as sink:
        sink.pump(io.BytesIO(LARGE))
        done = threading.Event()

        def replace() -> None:
            while proxy.count(action="s3:HeadObject") == 0:
                done.wait(0.02)
            s3_store.write("s/x", other)

        thread = threading.Thread(target=replace)
        thread.start()
        with failing("object_corrupt"):
            sink.commit()
        thread.join()


@pytest.mark.parametrize("cut", [0, 1, MIB, 5 * MIB + 1])
def test_a_read_goes_on_after_dropped_connections(
    spoilt: Store, proxy: FaultProxy, s3_store: S3StoreAt, cut: int
) -> None:
    s3_store.write("s/x", LARGE)
    proxy.rules.append(Fault(action="s3:GetObject", cut_response=cut, times=3))
    with spoilt.open("s/x") as stream:
        assert stream.read() == LARGE
    assert proxy.count(action="s3:GetObject") in (3, 4)


def test_a_read_that_gets_nowhere_fails_and_never_ends_early(
    proxy: FaultProxy, s3_store: S3StoreAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request is answered, and brings one byte."""
    s3_store.write("s/x", LARGE)
    monkeypatch.setattr(Clock, "sleep", lambda self, seconds: None)
    spoilt = open_at(s3_store, endpoint_url=proxy.endpoint_url)
    proxy.rules.append(Fault(action="s3:GetObject", cut_response=1))
    with spoilt.open("s/x") as stream, failing("store_unreachable") as failure:
        stream.read()
    assert f"after 6 of {len(LARGE)} bytes" in failure().message


def test_a_read_that_the_store_refuses_half_way(spoilt: Store, proxy: FaultProxy, s3_store: S3StoreAt) -> None:
    s3_store.write("s/x", LARGE)
    proxy.rules.append(Fault(action="s3:GetObject", cut_response=MIB, times=1))
    proxy.rules.append(deny("s3:GetObject"))
    with spoilt.open("s/x") as stream, failing("store_denied"):
        stream.read()


def test_a_read_of_an_object_that_was_replaced_fails(spoilt: Store, proxy: FaultProxy, s3_store: S3StoreAt) -> None:
    s3_store.write("s/x", LARGE)
    proxy.rules.append(Fault(action="s3:GetObject", cut_response=MIB, times=1))
    with spoilt.open("s/x") as stream:
        stream.read(10)
        s3_store.write("s/x", LARGE[::-1])
        with failing("object_corrupt"):
            stream.read()


def test_a_missing_bucket(s3_store: S3StoreAt) -> None:
    store = open_store(s3_store.args, "s3://no-such-bucket-anywhere", run_context())
    for attempt in (
        lambda: store.get("a"),
        lambda: list(store.list("")),
        lambda: store.put("a", b""),
        lambda: store.create("a", b""),
        lambda: upload(store, LARGE),
    ):
        with failing("store_missing") as failure:
            attempt()
        assert "no-such-bucket-anywhere" in failure().message


def test_nobody_listens(s3_store: S3StoreAt) -> None:
    store = open_at(s3_store, endpoint_url="http://127.0.0.1:9")
    with failing("store_unreachable") as failure:
        store.get("a")
    assert "127.0.0.1:9" in failure().message


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"endpoint_url": "not a url"}, "store_failed"),
        ({"profile": "nobody", "access_key": None}, "store_credentials"),
        ({"access_key": None, "secret_key": None}, "store_credentials"),
        ({"endpoint_url": "https://127.0.0.1:{port}"}, "store_unreachable"),
    ],
)
def test_options_that_lead_nowhere(
    s3_store: S3StoreAt,
    s3: S3Server,
    options: dict[str, Any],
    code: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    changes = {key: value and value.format(port=s3.port) for key, value in options.items()}
    with failing(code):
        open_at(s3_store, **changes).get("a")


def test_credentials_of_a_profile_are_protected(
    s3_store: S3StoreAt, no_aws: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text("[ops]\naws_access_key_id = AKIAX\naws_secret_access_key = hunter2hunter2\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    context = run_context()
    store = open_at(s3_store, context, access_key=None, secret_key=None, profile="ops")
    assert store.get("a") is None
    assert "hunter2hunter2" not in context.redactor.text("hunter2hunter2")


def test_encryption(s3_store: S3StoreAt, s3: S3Server) -> None:
    store = open_at(s3_store)
    key_id = s3.client("kms").create_key()["KeyMetadata"]["KeyId"]
    for size in (10, len(LARGE)):
        upload(store, LARGE[:size], "sse-s3", encryption=Encryption(mode="sse-s3"))
        upload(store, LARGE[:size], "sse-kms", encryption=Encryption(mode="sse-kms", key_id=key_id))
        answers = {
            key: s3_client(s3).head_object(Bucket=s3_store.bucket, Key=f"{s3_store.prefix}/{key}")
            for key in ("sse-s3", "sse-kms")
        }
        assert answers["sse-s3"]["ServerSideEncryption"] == "AES256"
        assert answers["sse-kms"]["ServerSideEncryption"] == "aws:kms"
        assert key_id in answers["sse-kms"]["SSEKMSKeyId"]
        assert store.get("sse-kms") == LARGE[:size]


def test_many_are_deleted_by_one_request_where_the_service_takes_it(spoilt: Store, proxy: FaultProxy) -> None:
    keys = [f"a/{number}" for number in range(30)]

    def fill() -> None:
        for key in keys:
            spoilt.put(key, b"1")
        proxy.requests.clear()

    fill()
    spoilt.delete_all(keys)
    assert [request.action for request in proxy.requests] == ["s3:DeleteObjects"]
    proxy.rules.append(Fault(action="s3:DeleteObjects", status=501, code="NotImplemented"))
    fill()
    spoilt.delete_all(keys[:20])
    spoilt.delete_all(keys[20:])
    assert proxy.count(action="s3:DeleteObjects") == 1, "asked once, and not again"
    assert list(spoilt.list("a/")) == []


def test_what_may_not_be_deleted_is_named_however_many_there_are(spoilt: Store, proxy: FaultProxy) -> None:
    for key in ("a/b", "a/c"):
        spoilt.put(key, b"1")
    proxy.rules += [deny("s3:DeleteObjects"), deny("s3:DeleteObject")]
    with failing("store_denied") as failure:
        spoilt.delete_all(["a/b", "a/c"])
    assert (failure().details or {})["denied_action"] == "s3:DeleteObject"


def test_a_versioned_bucket_with_object_lock(s3: S3Server, s3_store: S3StoreAt) -> None:
    client = s3_client(s3)
    bucket = f"locked-{os.urandom(4).hex()}"
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    client.put_object_lock_configuration(
        Bucket=bucket,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
        },
    )
    store = open_store(s3_store.args, f"s3://{bucket}/x", run_context())
    series = Series(store, "doc", keep=2)
    for number in range(5):
        assert series.create_next({"n": number}, after=number) is not None
    assert len(list(series.history())) == 2
    upload(store, LARGE)
    store.delete("s/x")
    assert store.get("s/x") is None
    assert store.create("s/x", b"after a deletion")


def test_a_slow_network(spoilt: Store, proxy: FaultProxy) -> None:
    proxy.rules.append(Fault(rate=8 * MIB))
    upload(spoilt, LARGE)
    assert spoilt.get("s/x") == LARGE


def test_an_encrypted_connection(
    s3_store: S3StoreAt, s3: S3Server, no_aws: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the client signs no bodies, and adds checksums of its own unless it is told not to."""
    certificate = tmp_path / "ca.pem"
    certificate.write_text(ssl.get_server_certificate((s3.host, s3.port)))
    store = open_at(s3_store, endpoint_url=f"https://localhost:{s3.port}")
    with failing("store_unreachable") as failure:
        store.get("a/b")
    assert "certificate" in failure().message
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    store = open_at(s3_store, endpoint_url=f"https://localhost:{s3.port}")
    assert store.create("a/b", b"1")
    assert not store.create("a/b", b"2")
    upload(store, LARGE)
    assert store.get("s/x") == LARGE


MEASURE = """
import io, resource, sys, json
from harness.stores import run_context
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Encryption, open_store
from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import MIB, Budget

class Zeros:
    def __init__(self, size): self.left = size
    def readinto(self, view):
        count = min(len(view), self.left, 65536)
        view[:count] = bytes(count)
        self.left -= count
        return count

url, size, options = sys.argv[1], int(sys.argv[2]) * MIB, json.loads(sys.argv[3])
store = open_store(options, url, run_context())
store.get("warm up")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
budget = Budget()
with store.sink("big", part_size=8 * MIB, budget=budget, encryption=Encryption()) as sink:
    sink.pump(Zeros(size))
    assert sink.commit().size == size
with store.open("big") as stream:
    while stream.read(MIB): pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, budget.total // 1024)
"""


def test_memory_of_a_large_stream(s3_store: S3StoreAt, tmp_path: Path) -> None:
    environment = clean_environment(tmp_path)
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    argv = [sys.executable, "-c", MEASURE, s3_store.url, "384", json.dumps(dict(s3_store.args))]
    done = subprocess.run(argv, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    grown, budget = map(int, done.stdout.split())
    assert grown < budget + 24 * 1024, f"{grown} KiB"


def test_a_part_of_an_object_survives_dropped_connections(spoilt: Store, proxy: FaultProxy) -> None:
    body = bytes(range(256)) * 2048
    spoilt.put("t/part", body)
    proxy.rules.append(Fault(action="s3:GetObject", cut_response=100_000, times=2))
    with spoilt.open("t/part", 1000, 300_000) as stream:
        assert stream.read() == body[1000:301_000]
    assert proxy.count(action="s3:GetObject") == 3
    with spoilt.open("t/part", len(body) - 5) as stream:
        assert stream.read() == body[-5:]
