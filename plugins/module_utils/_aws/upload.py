# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module s3_upload (private to ops.runbooks): files, directories and content as objects in S3.

It takes no lock: every object is an identity of its own, each of them appears whole or not at all, and of two runs
that write the same one the later wins, as S3 has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._aws.lanes import in_lanes
from ansible_collections.ops.runbooks.plugins.module_utils._aws.local import Local, digest, wanted
from ansible_collections.ops.runbooks.plugins.module_utils._aws.objects import LANES, Objects, Remote, put_arguments
from ansible_collections.ops.runbooks.plugins.module_utils._aws.options import UPLOAD_SPEC, Request
from ansible_collections.ops.runbooks.plugins.module_utils._aws.upload_plan import (
    Change,
    UploadPlan,
    content_type_of,
    plan_upload,
    result_of,
)
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation
from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_client import Bucket
from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_sink import ObjectExists
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import MIB

#: Files that are read at once: more than that only makes a disk seek.
_READERS = 4
#: From this size on, in bytes, files are sent so many at a time.
_LARGE, _LARGE_LANES = MIB, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is wanted, with checksums, and what is there, by key."""

    wanted: tuple[Local, ...]
    found: Mapping[str, Remote]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of one change. ``kept`` is why nothing was written after all."""

    change: Change
    version_id: str | None = None
    kept: str = ""


class Upload(Operation[State, UploadPlan]):
    """Bring objects to what files are, or remove them."""

    noun: ClassVar[str] = "upload"
    spec: ClassVar[ArgumentSpec] = UPLOAD_SPEC
    recorded: ClassVar[bool] = False

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._request = Request.read(params)
        bucket = Bucket(self._request.bucket, f"s3://{self._request.bucket}", params, context)
        self._objects = Objects(bucket, self._request)
        self._done: list[Done] = []

    def observe(self) -> State:
        """Read every file once; then ask S3 only for what can be there."""
        request = self._request
        files = wanted(request)
        if request.absent:
            return State(wanted=tuple(files), found=self._objects.found(self._doomed(files)))
        digests = in_lanes(digest, files, _READERS)
        known = tuple(replace(local, sha256=found) for local, found in zip(files, digests, strict=True))
        return State(wanted=known, found=self._objects.found([local.key for local in known]))

    def plan(self, state: State) -> UploadPlan:
        """See :mod:`upload_plan`."""
        return plan_upload(self._request, state.wanted, state.found)

    def act(self, state: State, plan: UploadPlan) -> Mapping[str, Any]:
        """Write and delete, several objects at once."""
        # Of a large file several parts are in memory and on their way at once already.
        small = [change for change in plan.changes if change.local is None or change.local.size < _LARGE]
        large = [change for change in plan.changes if change.local is not None and change.local.size >= _LARGE]
        in_lanes(self._carry_out, small, LANES)
        in_lanes(self._carry_out, large, _LARGE_LANES)
        done = {each.change.key: each for each in self._done}
        for each in self._done:
            if each.kept:
                self.context.warn(f"s3://{self._request.bucket}/{each.change.key} was kept: {each.kept}.")
        written = [each.change for each in self._done if not each.kept]
        entries = {
            entry["key"]: {
                "bytes": entry["bytes"],
                "sha256": entry["sha256"],
                "version_id": done[entry["key"]].version_id if entry["key"] in done else entry["version_id"],
            }
            for entry in plan.result["objects"]
        }
        return result_of(self._request, entries, written)

    def context_of_failure(self) -> Mapping[str, Any]:
        """What had been done by then."""
        entries = {
            each.change.key: {
                "bytes": each.change.local.size if each.change.local else 0,
                "sha256": each.change.local.sha256 if each.change.local else None,
                "version_id": each.version_id,
            }
            for each in sorted(self._done, key=lambda each: each.change.key)
        }
        return result_of(self._request, entries, [each.change for each in self._done if not each.kept])

    def _doomed(self, files: list[Local]) -> list[str]:
        """The keys that may have to go."""
        request = self._request
        if request.purge:
            return [key for key, _size in self._objects.below(str(request.prefix))]
        return [request.key] if request.key is not None else [local.key for local in files]

    def _carry_out(self, change: Change) -> None:
        where = f"s3://{self._request.bucket}/{change.key}"
        if change.local is None:
            self.context.effect(f"delete {where}")
            self._done.append(Done(change=change, version_id=self._objects.delete(change.key)))
            return
        self.context.effect(f"upload {where}")
        self._done.append(self._upload(change, change.local))

    def _upload(self, change: Change, local: Local) -> Done:
        request = self._request
        arguments = put_arguments(request, local, content_type_of(request, local))
        try:
            version = self._objects.put(local, arguments, only_new=request.overwrite == "never")
        except ObjectExists:
            # Ours, where the store took the request and its answer was lost; else somebody was faster.
            remote = self._objects.found([change.key]).get(change.key)
            if remote is not None and (remote.sha256, remote.size) == (local.sha256, local.size):
                return Done(change=change, version_id=remote.version_id)
            return Done(change=change, kept="somebody else has made it in the meantime")
        return Done(change=change, version_id=version)
