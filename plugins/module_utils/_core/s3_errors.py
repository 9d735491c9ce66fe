# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an S3 failure means to a person (private to ops.runbooks): botocore's exceptions as ``RunbookError``.

A text is built from the error's code and message only. Neither holds a secret, while other members of an S3 error
document do (the string to sign, the signature), as does the URL of a request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import object_missing

#: The IAM action that a call needs (Service authorization reference, "Actions defined by Amazon S3").
ACTIONS: Mapping[str, str] = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "CompleteMultipartUpload": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
    "GetBucketVersioning": "s3:GetBucketVersioning",
    "GetObject": "s3:GetObject",
    "GetObjectLegalHold": "s3:GetObjectLegalHold",
    "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "GetObjectRetention": "s3:GetObjectRetention",
    "GetObjectTagging": "s3:GetObjectTagging",
    "HeadObject": "s3:GetObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectsV2": "s3:ListBucket",
    "PutObject": "s3:PutObject",
    "UploadPart": "s3:PutObject",
}
#: Actions that are granted on the bucket, not on the objects in it.
_ON_BUCKET = {
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketVersioning",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
}

_ABSENT = {"NoSuchKey", "404", "NotFound"}
_DENIED = {"AccessDenied", "403", "Forbidden", "AllAccessDisabled", "AccountProblem", "NotSignedUp", "MethodNotAllowed"}
_CREDENTIALS = {
    "ExpiredToken": "the session token has expired",
    "ExpiredTokenException": "the session token has expired",
    "TokenRefreshRequired": "the session token has expired",
    "InvalidAccessKeyId": "the store does not know the access key",
    "InvalidClientTokenId": "the store does not know the access key",
    "InvalidToken": "the session token is not valid",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
    "InvalidSecurity": "the credentials are not valid",
}
#: Answers that need no more than a code and a remedy. ``PutObject`` alone is ever conditional.
_ANSWERS: tuple[tuple[frozenset[str], str, str], ...] = (
    (
        frozenset({"QuotaExceeded", "InsufficientStorage", "507", "XMinioStorageFull"}),
        "store_full",
        "Free space or raise the quota, and run the same command again.",
    ),
    (
        frozenset({"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "500", "502", "503", "504"}),
        "store_failed",
        "It was tried again several times. Run the same command again when the store has recovered.",
    ),
    (
        frozenset({"RequestTimeTooSkewed"}),
        "store_denied",
        "This machine's clock is too far from the store's: set it right (NTP) and run the same command again.",
    ),
    (
        frozenset({"InvalidObjectState"}),
        "store_failed",
        "The object is archived: bring it back from its storage class first (aws s3api restore-object).",
    ),
    (
        # To HEAD a store answers without an error document, so that all that is known is the status.
        frozenset({"400", "BadRequest"}),
        "store_failed",
        "Most often the session token has expired or the region is not the bucket's.",
    ),
    (
        frozenset({"NoSuchUpload"}),
        "store_failed",
        "Another run or a lifecycle rule has dropped the upload: let the rule spare uploads younger than a day.",
    ),
    (
        frozenset({"NotImplemented", "501"}),
        "store_not_conditional",
        "Use a store that honours If-None-Match on PUT, or set state_store to one that does.",
    ),
)
_ELSEWHERE = {"PermanentRedirect", "301", "307", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}

#: The condition of a request does not hold.
PRECONDITION = frozenset({"PreconditionFailed", "412"})
#: A conditional write was not done; what is there then decides what that means.
CONFLICTS = PRECONDITION | {"ConditionalRequestConflict", "OperationAborted", "409"}

_NO_CREDENTIALS = {
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "MetadataRetrievalError",
    "SSOTokenLoadError",
    "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
    "NoAuthTokenError",
    "LoginTokenLoadError",
}
_UNREACHABLE = {
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ConnectionClosedError",
    "ConnectionError",
    "ProxyConnectionError",
    "HTTPClientError",
    "ResponseStreamingError",
    "IncompleteReadError",
    "SSLError",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What was being done when it failed: ``operation`` is the API's name for it, ``url`` the store's, ``key`` full."""

    attempted: str
    operation: str
    bucket: str
    key: str
    url: str
    endpoint: str

    @property
    def where(self) -> str:
        """The object's address, or the store's."""
        return f"s3://{self.bucket}/{self.key}" if self.key else self.url

    def failed(self, code: str, reason: str, remedy: str) -> RunbookError:
        """The failure of this attempt."""
        return RunbookError(code=code, attempted=self.attempted, object=self.where, reason=reason, remedy=remedy)


def error_code(error: Exception) -> str:
    """The S3 error code, or the HTTP status where the answer has no body (HEAD); empty for other exceptions."""
    return str(_response(error).get("Error", {}).get("Code", ""))


def _response(error: Exception) -> dict[str, Any]:
    """The answer that an exception carries; exceptions for requests without an answer have None there, or nothing."""
    response = getattr(error, "response", None)
    return response if isinstance(response, dict) else {}


def translate(error: Exception, attempt: Attempt) -> RunbookError:
    """The failure for an exception that botocore raised."""
    code = error_code(error)
    if code:
        return _answered(code, error, attempt)
    return _unanswered(error, attempt)


def _answered(code: str, error: Exception, attempt: Attempt) -> RunbookError:
    """The store answered, and the answer is an error."""
    said = f"the store answered {code}{_message(error)}"
    if code == "NoSuchBucket":
        return attempt.failed(
            "store_missing",
            f"there is no bucket {attempt.bucket} at {attempt.endpoint}",
            "Create the bucket, or correct the parameters store, region and endpoint_url.",
        )
    if code in _ABSENT:
        return object_missing(attempt.attempted, attempt.where)
    if code in _DENIED:
        return _denied(said, error, attempt)
    if code in _CREDENTIALS:
        remedy = "Give the module current credentials: access_key and secret_key, a profile, or AWS_* variables."
        return attempt.failed("store_credentials", _CREDENTIALS[code], remedy)
    if code in _ELSEWHERE:
        return attempt.failed("store_failed", said, _region_remedy(error))
    for codes, failure, remedy in _ANSWERS:
        if code in codes and (failure != "store_not_conditional" or attempt.operation == "PutObject"):
            return attempt.failed(failure, said, remedy)
    return attempt.failed("store_failed", said, "Look the error code up in the store's documentation.")


def _denied(said: str, error: Exception, attempt: Attempt) -> RunbookError:
    action = ACTIONS.get(attempt.operation, f"s3:{attempt.operation}")
    if through_kms := re.search(r"\bkms:\w+", _message(error)):
        action = through_kms.group()
    scope = attempt.bucket if action in _ON_BUCKET else f"{attempt.bucket}/{attempt.key}"
    remedy = f"Allow {action} on arn:aws:s3:::{scope} for these credentials (policy of the user, role and bucket)."
    if action.startswith("kms:"):
        remedy = f"Allow {action} on the KMS key for these credentials."
    elif action == "s3:GetObject":
        # Without the right to list, S3 does not admit that an object is absent (API reference of GetObject).
        remedy += " Without s3:ListBucket on the bucket, S3 answers so for an absent object too: allow both."
    failure = attempt.failed("store_denied", f"{action} is denied: {said}", remedy)
    failure.details = {"denied_action": action}
    return failure


def _region_remedy(error: Exception) -> str:
    response = _response(error)
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region") or response.get("Error", {}).get("Region")
    return f"Set region to {region}." if region else "Set region to the bucket's own region."


def _message(error: Exception) -> str:
    """The store's own sentence, in parentheses and one line; empty where it gave none."""
    message = str(_response(error).get("Error", {}).get("Message") or "").strip()
    return f" ({' '.join(message.split())})" if message else ""


def _unanswered(error: Exception, attempt: Attempt) -> RunbookError:
    """No answer came, or none was asked for. The exception's own text may hold a URL and stays inside."""
    names = {kind.__name__ for kind in type(error).__mro__}
    kind = type(error).__name__
    if names & _NO_CREDENTIALS:
        return attempt.failed(
            "store_credentials",
            f"no usable credentials were found ({kind})",
            "Give the module access_key and secret_key, a profile or AWS_* variables, or log in again (aws sso login).",
        )
    if "ProfileNotFound" in names:
        return attempt.failed(
            "store_credentials",
            "the profile is not in this user's AWS configuration",
            "Correct the parameter profile, or run aws configure.",
        )
    if "SSLError" in names:
        return attempt.failed(
            "store_unreachable",
            f"{attempt.endpoint} did not show a certificate that is trusted here",
            "Correct endpoint_url, or name the authority's certificate in AWS_CA_BUNDLE.",
        )
    if names & _UNREACHABLE:
        return attempt.failed(
            "store_unreachable",
            f"no complete answer came from {attempt.endpoint} ({kind})",
            "Check the network, proxy variables and the parameters region and endpoint_url; then run it again.",
        )
    return attempt.failed(
        "store_failed",
        f"the S3 client refused the request ({kind})",
        "Check the parameters of the store and the AWS_* variables and files that they fall back to.",
    )
