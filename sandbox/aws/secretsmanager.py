# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets Manager as the stand-in for AWS has it (API Reference, version 2017-10-17).

Where a common emulator is more lenient than AWS, this is not: one request token has one value, a label moves only from
the version that is named, and a secret that is to be deleted takes no value.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sandbox.aws.model import ACCOUNT, REGION, Secret, Version, World
from sandbox.standin.refusal import Refused

#: Bytes of a value.
LARGEST = 65536
_DAY = 86400

Body = Mapping[str, Any]
Answer = tuple[World, dict[str, Any]]


def _create(world: World, body: Body) -> Answer:
    name, token = str(body["Name"]), str(body["ClientRequestToken"])
    found = world.secrets.get(name)
    if found is not None and found.deleted_at is not None:
        raise _error(
            "InvalidRequestException",
            "You can't create this secret because a secret with this name is already scheduled for deletion.",
        )
    if found is not None:
        if token in found.versions and found.versions[token].value == body.get("SecretString"):
            return world, _named(found, token)
        raise _error("ResourceExistsException", "The operation failed because the secret already exists.")
    made = Secret(
        name=name,
        arn=f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-{secrets.token_urlsafe(4)[:6]}",
        description=str(body.get("Description", "")),
        kms_key_id=body.get("KmsKeyId"),
        tags={each["Key"]: each["Value"] for each in body.get("Tags", ())},
        versions={token: _version(body, ("AWSCURRENT",))},
    )
    return world.put(made), _named(made, token)


def _describe(world: World, body: Body) -> Answer:
    found = _find(world, body)
    shown: dict[str, Any] = {
        "ARN": found.arn,
        "Name": found.name,
        "Description": found.description,
        "RotationEnabled": found.rotation,
        "Tags": [{"Key": key, "Value": value} for key, value in found.tags.items()],
        "VersionIdsToStages": {id: list(each.stages) for id, each in found.versions.items() if each.stages},
    }
    if found.kms_key_id and not found.kms_key_id.endswith("alias/aws/secretsmanager"):
        shown["KmsKeyId"] = found.kms_key_id
    if found.deleted_at is not None:
        shown["DeletedDate"] = found.deleted_at
    return world, shown


def _get(world: World, body: Body) -> Answer:
    found = _usable(world, body)
    id = body.get("VersionId") or found.holder(str(body.get("VersionStage", "AWSCURRENT")))
    version = found.versions.get(id or "")
    if id is None or version is None or ("VersionStage" in body and body["VersionStage"] not in version.stages):
        raise _error("ResourceNotFoundException", "Secrets Manager can't find the specified secret value.")
    shown = {"SecretString": version.value, "VersionStages": list(version.stages), "CreatedDate": version.created_at}
    return world, {**_named(found, id), **shown}


def _put(world: World, body: Body) -> Answer:
    found, token = _usable(world, body), str(body["ClientRequestToken"])
    stages = tuple(body.get("VersionStages") or ("AWSCURRENT",))
    known = found.versions.get(token)
    if known is not None:
        if known.value != body.get("SecretString"):
            raise _error(
                "ResourceExistsException",
                "The operation failed because a version with this ClientRequestToken has another value.",
            )
        return world, {**_named(found, token), "VersionStages": list(known.stages)}
    made = replace(found, versions={**found.versions, token: _version(body, ())})
    for stage in stages:
        made = made.labelled(token, stage)
    return world.put(made), {**_named(made, token), "VersionStages": list(stages)}


def _stage(world: World, body: Body) -> Answer:
    found, stage = _usable(world, body), str(body["VersionStage"])
    to, source, holder = body.get("MoveToVersionId"), body.get("RemoveFromVersionId"), found.holder(stage)
    if to is not None and to not in found.versions:
        raise _error("ResourceNotFoundException", "Secrets Manager can't find the specified version.")
    if source != holder and not (source is None and holder == to):
        where = f"is attached to version {holder}" if holder else "is attached to no version"
        raise _error("InvalidParameterException", f"The staging label {stage} {where}, which is not RemoveFrom.")
    if to is None and stage == "AWSCURRENT":
        raise _error("InvalidParameterException", "You can't remove AWSCURRENT without moving it to another version.")
    made = found.labelled(to, stage) if to is not None else found.unlabelled(stage)
    return world.put(made), {"ARN": found.arn, "Name": found.name}


def _update(world: World, body: Body) -> Answer:
    found = _usable(world, body)
    made = replace(
        found,
        description=str(body.get("Description", found.description)),
        kms_key_id=body.get("KmsKeyId", found.kms_key_id),
    )
    return world.put(made), {"ARN": made.arn, "Name": made.name}


def _tag(world: World, body: Body) -> Answer:
    found = _usable(world, body)
    return world.put(replace(found, tags={**found.tags, **{each["Key"]: each["Value"] for each in body["Tags"]}})), {}


def _untag(world: World, body: Body) -> Answer:
    found = _usable(world, body)
    return world.put(replace(found, tags={k: v for k, v in found.tags.items() if k not in body["TagKeys"]})), {}


def _delete(world: World, body: Body) -> Answer:
    found = _find(world, body)
    days, force = body.get("RecoveryWindowInDays"), body.get("ForceDeleteWithoutRecovery")
    if force and days is not None:
        raise _error("InvalidParameterException", "You can't use both a recovery window and no recovery.")
    if not force and days is not None and not 7 <= days <= 30:
        raise _error("InvalidParameterException", "The recovery window must be between 7 and 30 days.")
    if found.deleted_at is not None and not force:
        raise _error("InvalidRequestException", "The secret is already scheduled for deletion.")
    at = int(time.time()) + (0 if force else (days or 30) * _DAY)
    shown = {"ARN": found.arn, "Name": found.name, "DeletionDate": at}
    return (world.without("secrets", found.name) if force else world.put(replace(found, deleted_at=at))), shown


def _restore(world: World, body: Body) -> Answer:
    found = _find(world, body)
    return world.put(replace(found, deleted_at=None)), {"ARN": found.arn, "Name": found.name}


OPERATIONS: dict[str, Callable[[World, Body], Answer]] = {
    "CreateSecret": _create,
    "DescribeSecret": _describe,
    "GetSecretValue": _get,
    "PutSecretValue": _put,
    "UpdateSecretVersionStage": _stage,
    "UpdateSecret": _update,
    "TagResource": _tag,
    "UntagResource": _untag,
    "DeleteSecret": _delete,
    "RestoreSecret": _restore,
}


def _version(body: Body, stages: tuple[str, ...]) -> Version:
    value = str(body.get("SecretString", ""))
    if len(value.encode()) > LARGEST or not 32 <= len(str(body["ClientRequestToken"])) <= 64:
        raise _error("ValidationException", "1 validation error detected: a member failed to satisfy its constraint")
    return Version(value=value, stages=stages, created_at=int(time.time()))


def _find(world: World, body: Body) -> Secret:
    asked = str(body.get("SecretId"))
    found = next((each for each in world.secrets.values() if asked in (each.name, each.arn)), None)
    if found is None:
        raise _error("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    return found


def _usable(world: World, body: Body) -> Secret:
    found = _find(world, body)
    if found.deleted_at is not None:
        raise _error(
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
        )
    return found


def _named(secret: Secret, version: str) -> dict[str, Any]:
    return {"ARN": secret.arn, "Name": secret.name, "VersionId": version}


def _error(code: str, message: str) -> Refused:
    return Refused(400, code, message)
