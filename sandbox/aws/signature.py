# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who has signed a request (AWS General Reference, "Create a signed AWS API request", version 4)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/"
    r"aws4_request), SignedHeaders=(?P<headers>[^,]+), Signature=(?P<signature>[0-9a-f]{64})"
)


def key_of(authorization: str) -> str:
    """The id of the access key; '' where nobody has signed."""
    match = _AUTHORIZATION.fullmatch(authorization)
    return match["key"] if match else ""


def service_of(authorization: str) -> str:
    """The service that a request is signed for."""
    match = _AUTHORIZATION.fullmatch(authorization)
    return match["service"] if match else ""


def right(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """Whether a POST to the root was signed with this secret. Header names are in lower case."""
    match = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if match is None:
        return False
    signed = match["headers"].split(";")
    lines = "".join(f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in signed)
    request = f"POST\n/\n\n{lines}\n{match['headers']}\n{hashlib.sha256(body).hexdigest()}"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{headers.get('x-amz-date', '')}\n{match['scope']}\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in (match["date"], match["region"], match["service"], "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.compare_digest(hmac.new(key, text.encode(), hashlib.sha256).hexdigest(), match["signature"])
