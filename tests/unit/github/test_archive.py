# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is taken out of an archive, and what is not."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._github import archive

SHA = "0123456789abcdef" * 2 + "01234567"


def packed(*members: tuple[str, Any], sha: str = SHA) -> io.BytesIO:
    """An archive as GitHub makes it. A member's content is bytes, or what is to be changed of its entry."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", format=tarfile.PAX_FORMAT, pax_headers={"comment": sha}) as tar:
        for name, content in members:
            info = tarfile.TarInfo(f"acme-web-0123456/{name}")
            body = content if isinstance(content, bytes) else b""
            info.size = len(body)
            if not isinstance(content, bytes):
                for key, value in content.items():
                    setattr(info, key, value)
            tar.addfile(info, io.BytesIO(body))
    made.seek(0)
    return made


def taken(file: io.BytesIO, path: str = "db", wanted: Callable[[str], bool] = lambda name: True) -> dict[str, bytes]:
    return archive.unpack(file, SHA, path, wanted, "acme/web")


def test_only_what_is_wanted_below_the_folder() -> None:
    file = packed(("db/1_a.sql", b"a"), ("db/old/1_b.sql", b"b"), ("db2/1_c.sql", b"c"), ("README.md", b"r"))
    assert taken(file) == {"1_a.sql": b"a", "old/1_b.sql": b"b"}
    file.seek(0)
    assert taken(file, "./db/", lambda name: "/" not in name) == {"1_a.sql": b"a"}
    file.seek(0)
    assert set(taken(file, "")) == {"db/1_a.sql", "db/old/1_b.sql", "db2/1_c.sql", "README.md"}


LINK = {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}
HARD = {"type": tarfile.LNKTYPE, "linkname": "acme-web-0123456/secret"}


@pytest.mark.parametrize("entry", [LINK, HARD, {"type": tarfile.FIFOTYPE}])
def test_what_is_no_ordinary_file(entry: dict[str, Any]) -> None:
    with pytest.raises(RunbookError) as caught:
        taken(packed(("db/1_a.sql", entry)))
    assert caught.value.code == "source_unusable"


def test_names_lead_nowhere() -> None:
    assert taken(packed(("db/../../1_a.sql", b"x"), ("db/1_b.sql", b"b"))) == {"1_b.sql": b"b"}


@pytest.mark.parametrize("path", ["../db", "db/../.."])
def test_a_path_that_leads_out(path: str) -> None:
    with pytest.raises(RunbookError) as caught:
        taken(packed(("db/1_a.sql", b"a")), path)
    assert caught.value.code == "invalid_parameter"


@pytest.mark.parametrize(("limit", "code"), [("_UNPACKED", "source_unusable"), ("_FILE", "source_unusable")])
def test_what_is_too_large(limit: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, limit, 1000)
    with pytest.raises(RunbookError) as caught:
        taken(packed(("db/1_a.sql", b"x" * 1001)))
    assert caught.value.code == code


def test_another_commit_than_was_asked_for() -> None:
    with pytest.raises(RunbookError) as caught:
        taken(packed(("db/1_a.sql", b"a"), sha="f" * 40))
    assert "f" * 40 in caught.value.message


def test_damage() -> None:
    whole = packed(("db/1_a.sql", b"a" * 100_000)).getvalue()
    for damaged in (whole[: len(whole) // 2], b"<html>not an archive</html>", b""):
        with pytest.raises(RunbookError) as caught:
            taken(io.BytesIO(damaged))
        assert caught.value.code == "source_unusable"


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(RunbookError) as caught:
        taken(packed(("db/1_a.sql", b"a")), "migrations")
    assert caught.value.code == "source_missing"
