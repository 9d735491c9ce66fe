# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the signature of a request covers, seen on requests as botocore would send them."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_client import Bucket
from botocore.awsrequest import AWSResponse
from urllib3.response import HTTPResponse

from harness.stores import run_context

BODY = b"part of a dump"
MD5 = base64.b64encode(hashlib.md5(BODY, usedforsecurity=False).digest()).decode()


def sent(endpoint: str, method: str, **arguments: Any) -> dict[str, str]:
    """The headers of one request, which is answered before it leaves the process."""
    params = {"access_key": "key", "secret_key": "word-nobody-sees", "region": "eu-west-1", "endpoint_url": endpoint}
    bucket = Bucket("bucket", "s3://bucket", params, run_context())
    seen: list[dict[str, str]] = []

    def answer(request: Any, **_event: Any) -> AWSResponse:
        seen.append({name.lower(): _text(value) for name, value in request.headers.items()})
        return AWSResponse(request.url, 200, {}, HTTPResponse(io.BytesIO(), preload_content=False))

    bucket.client.meta.events.register("before-send.s3", answer)
    getattr(bucket.client, method)(Bucket="bucket", Key="key", **arguments)
    return seen[0]


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@pytest.mark.parametrize("endpoint", ["http://store.example:9000", "https://store.example"])
@pytest.mark.parametrize("method", ["put_object", "upload_part"])
def test_a_body_is_covered_by_its_md5_and_hashed_no_second_time(endpoint: str, method: str) -> None:
    more = {"UploadId": "one", "PartNumber": 1} if method == "upload_part" else {}
    headers = sent(endpoint, method, Body=BODY, ContentMD5=MD5, **more)
    assert headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert headers["content-md5"] == MD5
    assert "content-md5" in headers["authorization"].partition("SignedHeaders=")[2].split(",")[0].split(";")


def test_a_body_without_md5_is_covered_itself() -> None:
    headers = sent("http://store.example:9000", "put_object", Body=BODY)
    assert headers["x-amz-content-sha256"] == hashlib.sha256(BODY).hexdigest()
    empty = sent("http://store.example:9000", "head_object")
    assert empty["x-amz-content-sha256"] == hashlib.sha256(b"").hexdigest()
