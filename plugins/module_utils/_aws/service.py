# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services of AWS beside S3 (private to ops.runbooks): clients, calls, and what a refusal means to a person.

One botocore client for each service that is asked, made at its first call. A text is built from the error's code and
message only; the exception itself may hold a URL or a signature.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_errors import error_code
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import S3_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._core.version import VERSION

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Options of every module of AWS beside S3, documented in the fragment ``_aws``.
AWS_SPEC: ArgumentSpec = replace(
    S3_SPEC, options={name: option for name, option in S3_SPEC.options.items() if name != "addressing_style"}
)

#: Seconds; and attempts at one request, the first included (botocore, "Retries").
_CONNECT, _READ, _ATTEMPTS = 10, 30, 5
_SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "OptInRequired"}
_CREDENTIALS = {
    "ExpiredToken": "the session token has expired",
    "ExpiredTokenException": "the session token has expired",
    "InvalidClientTokenId": "AWS does not know the access key, or it is not active",
    "UnrecognizedClientException": "AWS does not know the access key, or it is not active",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
    "InvalidSignatureException": "the secret key does not belong to the access key",
    "IncompleteSignature": "the credentials are not complete",
    "MissingAuthenticationToken": "the credentials are not complete",
}
_THROTTLED = {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"}
_NO_CREDENTIALS = {
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "ProfileNotFound",
    "SSOTokenLoadError",
    "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
    "NoAuthTokenError",
    "LoginTokenLoadError",
}
#: No byte of the request can have gone out.
_UNSENT = {"EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError", "SSLError"}
#: What botocore raises where it got no answer.
_UNANSWERED = {*_UNSENT, "ReadTimeoutError", "ConnectionClosedError", "HTTPClientError", "ResponseStreamingError"}


class Lost(RunbookError):
    """A request was sent once and its answer lost: it may have been carried out."""

    __slots__ = ()


class Aws:
    """The services, reached with the connection options of a module."""

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        self.context = context
        self._params = params
        self._clients: dict[tuple[str, bool], Any] = {}
        #: The time by AWS's clock, as its last answer told it.
        self.now: datetime | None = None
        for secret in (params.get("secret_key"), params.get("session_token"), *map(os.environ.get, _SECRET_VARIABLES)):
            context.redactor.protect(secret)

    def call(
        self,
        service: str,
        method: str,
        attempted: str,
        where: str,
        *,
        accept: Collection[str] = (),
        once: bool = False,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Call ``method`` of a service's client. Where AWS refuses with one of the codes in ``accept``, ``{"refused":
        code}``.

        ``once`` is for what may not be sent twice: :class:`Lost` then tells that nobody knows whether it was done.
        Raises ``service_denied``, ``service_failed``, ``service_unreachable``, ``rate_limited``.
        """
        client = self._client(service, once)
        self.context.requests += 1
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(client, method)(**arguments)
        except ClientError as error:
            self._note_clock(getattr(error, "response", None) or {})
            if (code := error_code(error)) in accept:
                return {"refused": code}
            status = int((error.response or {}).get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
            action = f"{service}:{client.meta.method_to_api_mapping[method]}"
            if once and status >= 500:
                raise _failed(
                    Lost, "service_unreachable", attempted, where, f"AWS answered {status}", _AGAIN
                ) from error
            raise _refused(code, self._message(error), action, attempted, where, 1 if once else _ATTEMPTS) from error
        except BotoCoreError as error:
            raise _unanswered(error, attempted, where, once=once) from error
        self._note_clock(answer)
        return answer

    @cached_property
    def access_key_id(self) -> str:
        """The access key that this run works with; '' where there is none."""
        credentials = self._session.get_credentials()
        return str(credentials.get_frozen_credentials().access_key) if credentials is not None else ""

    @cached_property
    def own_keys(self) -> frozenset[str]:
        """The access keys that this run works with, or that a session of its kind may have been made from: its own,
        that of the environment, and those of the profile and of its sources."""
        profiles: Mapping[str, Any] = self._session.full_config.get("profiles", {})
        name = self._params.get("profile") or self._session.profile or "default"
        found = {self.access_key_id, os.environ.get("AWS_ACCESS_KEY_ID", "")}
        passed: set[str] = set()
        while name in profiles and name not in passed:
            passed.add(name)
            found.add(str(profiles[name].get("aws_access_key_id", "")))
            name = str(profiles[name].get("source_profile", ""))
        return frozenset(found - {""})

    def as_key(self, access_key: str, secret_key: str) -> Aws:
        """The same services with another pair."""
        self.context.redactor.protect(secret_key)
        other = {**self._params, "access_key": access_key, "secret_key": secret_key, "session_token": None}
        return Aws({**other, "profile": None, "region": self._region}, self.context)

    @cached_property
    def _session(self) -> Any:
        from botocore.session import Session

        params = self._params
        session = Session(profile=params.get("profile") or None)
        if params.get("access_key"):
            session.set_credentials(params["access_key"], params["secret_key"], params.get("session_token"))
        return session

    @property
    def _region(self) -> str | None:
        region = self._params.get("region") or self._session.get_config_variable("region")
        return str(region) if region else None

    def _client(self, service: str, once: bool) -> Any:
        if (service, once) not in self._clients:
            try:
                from botocore.exceptions import BotoCoreError
            except ImportError as error:
                raise RunbookError(
                    code="library_missing",
                    attempted="use AWS",
                    object="boto3",
                    reason="this Python library is not installed for the interpreter that runs this module",
                    remedy="Install it, or set ansible_python_interpreter to one that has it.",
                ) from error
            try:
                self._clients[service, once] = self._connect(service, once)
            except (BotoCoreError, ValueError) as error:
                raise _unanswered(error, "use AWS", service, once=False) from error
        return self._clients[service, once]

    def _connect(self, service: str, once: bool) -> Any:
        from botocore.config import Config

        credentials = self._session.get_credentials()
        if credentials is not None:
            frozen = credentials.get_frozen_credentials()
            self.context.redactor.protect(frozen.secret_key)
            self.context.redactor.protect(frozen.token)
        config = Config(
            connect_timeout=_CONNECT,
            read_timeout=_READ,
            retries={"mode": "standard", "total_max_attempts": 1 if once else _ATTEMPTS},
            user_agent_extra=f"ops.runbooks/{VERSION}",
        )
        endpoint = self._params.get("endpoint_url") or None
        client = self._session.create_client(service, region_name=self._region, endpoint_url=endpoint, config=config)
        event = f"needs-retry.{client.meta.service_model.service_id.hyphenize()}"
        client.meta.events.register_first(event, _let_through)
        return client

    def _message(self, error: Any) -> str:
        """AWS's own sentence in parentheses, redacted and then cut; those of validations quote what was sent."""
        details = (getattr(error, "response", None) or {}).get("Error", {})
        said = self.context.redactor.text(str(details.get("Message") or details.get("message") or ""))
        text = " ".join(said.split())[:300].rstrip(".")
        return f" ({text})" if text and "alidation" not in str(details.get("Code")) else ""

    def _note_clock(self, answer: Mapping[str, Any]) -> None:
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        try:
            date = parsedate_to_datetime(headers.get("date", ""))
        except ValueError:
            return
        self.now = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)


def _let_through(caught_exception: Exception | None = None, **_event: Any) -> None:
    """Raise what a signal's handler raised in the middle of a request, which botocore takes for a failing network."""
    inner = getattr(caught_exception, "kwargs", {}).get("error")
    if isinstance(inner, RunbookError):
        raise inner


_AGAIN = "Run the same command again: it looks first at what became of this request."


def _refused(code: str, message: str, action: str, attempted: str, where: str, sent: int) -> RunbookError:
    """What an error code of AWS means."""
    if code in _DENIED:
        remedy = f"Allow {action} on it for these credentials, and where a key of KMS encrypts it, that key too."
        failure = _failed(RunbookError, "service_denied", attempted, where, f"{action} is denied{message}", remedy)
        failure.details = {"denied_action": action}
        return failure
    if code in _CREDENTIALS:
        remedy = "Correct the credentials (access_key, profile, AWS_* variables), or log in again."
        return _failed(RunbookError, "service_denied", attempted, where, f"{_CREDENTIALS[code]} ({code})", remedy)
    if code in _THROTTLED:
        reason = f"AWS takes no more requests of this kind at the moment ({code}); it was asked {sent} times"
        return _failed(RunbookError, "rate_limited", attempted, where, reason, "Run the same command again later.")
    remedy = "Correct what AWS names; where it names nothing, run the same command again."
    return _failed(RunbookError, "service_failed", attempted, where, f"AWS answered {code}{message}", remedy)


def _unanswered(error: Exception, attempted: str, where: str, *, once: bool) -> RunbookError:
    """No answer came, or no request went out."""
    names = {kind.__name__ for kind in type(error).__mro__}
    kind = type(error).__name__
    if names & _NO_CREDENTIALS:
        reason = f"no usable credentials were found ({kind})"
        remedy = "Give the module access_key and secret_key, a profile or AWS_* variables, or log in (aws sso login)."
        return _failed(RunbookError, "connection_missing", attempted, where, reason, remedy)
    if "NoRegionError" in names:
        return _failed(RunbookError, "invalid_parameter", attempted, where, "no region is given", "Set region.")
    if names & _UNANSWERED:
        lost = once and not names & _UNSENT
        remedy = _AGAIN if lost else "Look at the network, region and endpoint_url, then run the same command again."
        return _failed(
            Lost if lost else RunbookError, "service_unreachable", attempted, where, f"no answer came ({kind})", remedy
        )
    reason = f"the request could not be made ({kind})"
    return _failed(RunbookError, "service_failed", attempted, where, reason, "Look at the parameters and AWS_* files.")


def _failed(kind: type[RunbookError], code: str, attempted: str, where: str, reason: str, remedy: str) -> RunbookError:
    return kind(code=code, attempted=attempted, object=where, reason=reason, remedy=remedy)
