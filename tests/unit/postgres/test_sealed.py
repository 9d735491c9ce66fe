# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Encrypted backups as they were before: any part of them, and nothing that was changed."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyrage
import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core import age
from ansible_collections.ops.runbooks.plugins.module_utils._core.age_reader import read_header
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import open_store
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    AgeFact,
    ArchiveFact,
    Manifest,
    ObjectFact,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.sealed import Opened, is_written

from harness.manifests import make_context, make_manifest

SECRET = pyrage.x25519.Identity.generate()
OTHER = pyrage.x25519.Identity.generate()
BODY = bytes(range(256)) * 700
ROLES = b"CREATE ROLE app;"
ARCHIVE, GLOBALS = "main/one/database.dump.age", "main/one/globals.sql.age"


@dataclass
class Sealed:
    """A backup of two encrypted objects in a directory."""

    directory: Path

    def __post_init__(self) -> None:
        self.store = open_store({}, f"file://{self.directory}", make_context(self.directory))
        self.manifest = make_manifest(
            archives=(ArchiveFact(entries=1, **self._put(ARCHIVE, BODY)),),
            globals=ObjectFact(**self._put(GLOBALS, ROLES)),
            encryption="age",
        )

    def _put(self, key: str, body: bytes) -> dict[str, Any]:
        stored = age.encrypt(body, [str(SECRET.to_public())])
        self.write(key, stored)
        header = read_header(io.BytesIO(stored), key)
        fact = AgeFact(bytes=len(body), header_bytes=header.size, header_sha256=header.sha256)
        return {"key": key, "bytes": len(stored), "sha256": hashlib.sha256(stored).hexdigest(), "age": fact}

    def write(self, key: str, body: bytes) -> None:
        path = self.directory / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def damage(self, place: int) -> None:
        body = (self.directory / ARCHIVE).read_bytes()
        self.write(ARCHIVE, body[:place] + bytes((body[place] ^ 1,)) + body[place + 1 :])

    def opened(self, identity: str | None = str(SECRET)) -> tuple[Opened, Manifest]:
        found = Opened(self.store, {"age_identity": identity}, make_context(self.directory))
        return found, found.manifest(self.manifest)


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    return Sealed(tmp_path)


def failure(call: Callable[[], Any]) -> RunbookError:
    with pytest.raises(RunbookError) as caught:
        call()
    return caught.value


def read(opened: Opened, key: str, *span: int) -> bytes:
    with opened.open(key, *span) as stream:
        return stream.read()


def test_the_manifest_is_as_it_was_before(sealed: Sealed) -> None:
    _opened, before = sealed.opened()
    assert (before.archives[0].bytes, before.archives[0].sha256) == (len(BODY), "")
    assert before.globals is not None
    assert before.globals.bytes == len(ROLES)
    assert make_manifest() == Opened(sealed.store, {}, make_context(sealed.directory)).manifest(make_manifest())


def test_objects_are_read_whole_and_in_parts(sealed: Sealed) -> None:
    opened, _before = sealed.opened()
    assert read(opened, ARCHIVE) == BODY
    assert read(opened, ARCHIVE, 66_000, 70_000) == BODY[66_000:136_000]
    assert read(opened, ARCHIVE, len(BODY) - 5) == BODY[-5:]
    assert read(opened, GLOBALS) == ROLES
    stored = opened.head(ARCHIVE)
    assert stored is not None
    assert stored.size == len(BODY)
    assert opened.head("main/one/nothing") is None


def test_other_objects_are_as_they_lie_there(sealed: Sealed) -> None:
    opened = Opened(sealed.store, {}, make_context(sealed.directory))
    sealed.write("plain", b"PGDMP")
    assert read(opened, "plain", 1) == b"GDMP"


@pytest.mark.parametrize(
    ("identity", "code"),
    [(None, "age_identity_missing"), (str(OTHER), "age_identity_wrong")],
    ids=["none", "of somebody else"],
)
def test_without_the_right_identity_nothing_is_read(sealed: Sealed, identity: str | None, code: str) -> None:
    opened, _before = sealed.opened(identity)
    for call in (lambda: read(opened, ARCHIVE), lambda: opened.head(ARCHIVE), lambda: opened.require(sealed.manifest)):
        assert failure(call).code == code


@pytest.mark.parametrize("place", [30, 1000, 100_000, -1])
def test_damage_is_named_whatever_the_identity(sealed: Sealed, place: int) -> None:
    sealed.damage(place % sealed.manifest.archives[0].bytes)
    opened, _before = sealed.opened()
    found = failure(lambda: read(opened, ARCHIVE))
    assert (found.code, ARCHIVE in found.object) == ("object_corrupt", True)
    if place == 30:  # of the header, which no identity could open either
        assert failure(lambda: sealed.opened(str(OTHER))[0].require(sealed.manifest)).code == "object_corrupt"


def test_a_stream_that_has_failed_does_not_end_well(sealed: Sealed) -> None:
    sealed.damage(1000)
    opened, _before = sealed.opened()
    with opened.open(ARCHIVE) as stream:
        for _again in range(3):
            assert failure(lambda: stream.read(100)).code == "object_corrupt"


def test_another_object_of_the_same_recipient_is_not_taken_for_it(sealed: Sealed) -> None:
    sealed.write(ARCHIVE, age.encrypt(BODY, [str(SECRET.to_public())]))
    opened, _before = sealed.opened()
    assert failure(lambda: read(opened, ARCHIVE)).code == "object_corrupt"


def test_what_was_cut_off_is_named(sealed: Sealed) -> None:
    body = (sealed.directory / ARCHIVE).read_bytes()
    sealed.write(ARCHIVE, body[:-20])
    opened, _before = sealed.opened()
    assert "the manifest says" in failure(lambda: opened.head(ARCHIVE)).reason
    assert failure(lambda: read(opened, ARCHIVE)).code == "object_corrupt"


def test_a_hash_that_is_not_the_manifests_is_found_at_the_end(sealed: Sealed) -> None:
    """By somebody who has the identity, nobody else could write what decrypts."""
    (archive,) = sealed.manifest.archives
    sealed.manifest = replace(sealed.manifest, archives=(replace(archive, sha256="0" * 64),))
    opened, _before = sealed.opened()
    assert "SHA-256" in failure(lambda: read(opened, ARCHIVE)).reason


def test_a_backup_is_read_back_by_its_header(sealed: Sealed) -> None:
    fact = sealed.manifest.archives[0].age
    assert fact is not None
    assert is_written(sealed.store, ARCHIVE, fact)
    sealed.damage(100)
    assert not is_written(sealed.store, ARCHIVE, fact)
