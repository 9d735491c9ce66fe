# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connection to one bucket (private to ops.runbooks): client, calls, and the store's clock.

One botocore client for a module, made at the first call: imports and client together cost a fifth of a second, which
an operation that never reaches the store does not pay. botocore is used directly, since all that boto3 adds to a client
is time to import.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_errors import (
    Attempt,
    error_code,
    translate,
)
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import forbid_in_check_mode
from ansible_collections.ops.runbooks.plugins.module_utils._core.version import VERSION

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Seconds; a stalled connection is given up after this and tried again.
CONNECT_TIMEOUT = 10
READ_TIMEOUT = 60
#: Of one request, the first included; "standard" waits longer each time, at most 20 s (botocore, "Retries").
ATTEMPTS = 5
#: Connections kept open: several streams with their upload threads, and the renewal of locks.
CONNECTIONS = 32
#: Variables whose values botocore uses by itself and which nobody may see.
_SECRET_VARIABLES = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
)


class Bucket:
    """One bucket, reached with the S3 options of a module; thread-safe."""

    def __init__(self, name: str, url: str, params: Mapping[str, Any], context: Context) -> None:
        self.name = name
        self.url = url
        self.context = context
        self._params = params
        self._seen: tuple[datetime, float] | None = None
        for secret in (params.get("secret_key"), params.get("session_token"), *map(os.environ.get, _SECRET_VARIABLES)):
            context.redactor.protect(secret)

    def call(
        self, method: str, attempted: str, key: str = "", *, accept: Collection[str] = (), **arguments: Any
    ) -> dict[str, Any]:
        """Call ``method`` of the client on this bucket. Empty where the store answers one of the codes in ``accept``.

        ``key`` is full, with the store's prefix; an empty one is not sent. Raises ``store_*``, ``object_missing``.
        """
        if key:
            arguments["Key"] = key
        client = self.client
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(client, method)(Bucket=self.name, **arguments)
        except (BotoCoreError, ClientError) as error:
            # An error without an answer has None there.
            self._note_clock(getattr(error, "response", None) or {})
            if error_code(error) in accept:
                return {}
            raise self.failure(error, method, attempted, key) from error
        self._note_clock(answer)
        return answer

    def change(self, method: str, attempted: str, key: str, **arguments: Any) -> dict[str, Any]:
        """:meth:`call` for what writes or deletes; never in check mode."""
        forbid_in_check_mode(self.context, f"{attempted} ({key})")
        return self.call(method, attempted, key, **arguments)

    def failure(self, error: Exception, method: str, attempted: str, key: str) -> RunbookError:
        """What an exception of botocore means to a person."""
        operation = "".join(part.capitalize() for part in method.split("_"))
        return translate(
            error,
            Attempt(
                attempted=attempted,
                operation=operation,
                bucket=self.name,
                key=key,
                url=self.url,
                endpoint=self._endpoint,
            ),
        )

    def clock(self, longest_ago: float) -> datetime | None:
        """The store's time, from an answer at most ``longest_ago`` seconds old; None where there was none."""
        if self._seen is None:
            return None
        date, at = self._seen
        elapsed = self.context.clock.monotonic() - at
        return date + timedelta(seconds=elapsed) if elapsed <= longest_ago else None

    def _note_clock(self, answer: Mapping[str, Any]) -> None:
        """Every answer tells the store's time (RFC 9110, 6.6.1); a proxy's answer that does not is passed over."""
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        try:
            date = parsedate_to_datetime(headers.get("date", ""))
        except ValueError:
            return
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        self._seen = (date, self.context.clock.monotonic())

    @property
    def _endpoint(self) -> str:
        """Where requests go, for messages: the host, never a URL that might hold credentials."""
        client = self.__dict__.get("client")
        url = client.meta.endpoint_url if client else self._params.get("endpoint_url") or "Amazon S3"
        return str(url).rpartition("@")[2].rpartition("://")[2]

    @cached_property
    def client(self) -> Any:
        """The botocore client. Raises ``library_missing``, ``store_credentials``, ``store_failed``."""
        try:
            from botocore.exceptions import BotoCoreError
        except ImportError as error:
            raise RunbookError(
                code="library_missing",
                attempted="use an S3 store",
                object=self.url,
                reason="the Python library boto3 is not installed for the interpreter that runs this module",
                remedy="Install boto3 for it, or set ansible_python_interpreter to one that has it.",
            ) from error
        try:
            return self._connect()
        except (BotoCoreError, ValueError) as error:
            # ValueError: an endpoint_url or region that is no URL or name at all.
            raise self.failure(error, "connect", "use the store", "") from error

    def _connect(self) -> Any:
        from botocore.config import Config
        from botocore.session import Session

        params = self._params
        session = Session(profile=params.get("profile") or None)
        if params.get("access_key"):
            session.set_credentials(params["access_key"], params["secret_key"], params.get("session_token"))
        credentials = session.get_credentials()
        if credentials is not None:
            frozen = credentials.get_frozen_credentials()
            self.context.redactor.protect(frozen.secret_key)
            self.context.redactor.protect(frozen.token)
        config = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=CONNECTIONS,
            tcp_keepalive=True,
            # Stores other than Amazon's refuse the checksums that botocore adds by itself (boto/botocore#3352).
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            user_agent_extra=f"ops.runbooks/{VERSION}",
            s3={"addressing_style": params.get("addressing_style") or "auto"},
        )
        client = session.create_client(
            "s3",
            region_name=params.get("region") or None,
            endpoint_url=params.get("endpoint_url") or None,
            config=config,
        )
        client.meta.events.register_first("needs-retry.s3", _let_through)
        client.meta.events.register("before-sign.s3", _sign_md5_alone)
        return client


def _let_through(caught_exception: Exception | None = None, **_event: Any) -> None:
    """Raise what a signal's handler raised in the middle of a request: botocore takes it for a failing network,
    and would try again and succeed where the module was told to stop."""
    inner = getattr(caught_exception, "kwargs", {}).get("error")
    if isinstance(inner, RunbookError):
        raise inner


def _sign_md5_alone(request: Any, **_event: Any) -> None:
    """Let the signature cover a body by its MD5, which is one of the signed headers.

    Over TLS botocore does so by itself. Without TLS it would read and hash each part once more; settings of a client
    hold for all of its requests, so this one request is given its own.
    """
    config = request.context.get("client_config")
    if config is not None and "Content-MD5" in request.headers:
        config = copy.copy(config)
        config.s3 = {**(config.s3 or {}), "payload_signing_enabled": False}
        request.context["client_config"] = config
