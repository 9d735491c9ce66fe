# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What s3_upload decides: options, which files, which objects."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._aws.lanes import in_lanes
from ansible_collections.ops.runbooks.plugins.module_utils._aws.local import Local, digest, matches, wanted
from ansible_collections.ops.runbooks.plugins.module_utils._aws.objects import Remote, put_arguments
from ansible_collections.ops.runbooks.plugins.module_utils._aws.options import UPLOAD_SPEC, Request
from ansible_collections.ops.runbooks.plugins.module_utils._aws.upload_plan import content_type_of, plan_upload

from harness.stores import failing


def request(**params: Any) -> Request:
    """The request in parameters that are as AnsibleModule would give them."""
    defaults = {name: option.get("default") for name, option in UPLOAD_SPEC.options.items()}
    return Request.read({**defaults, "bucket": "assets", **params})


def local(key: str = "a", content: bytes = b"x", **changes: Any) -> Local:
    made = Local(key=key, path="", size=len(content), content=content, sha256=hashlib.sha256(content).hexdigest())
    return replace(made, **changes)


def remote(of: Local, **changes: Any) -> Remote:
    headers = {"ContentType": "text/plain"}
    return replace(Remote(key=of.key, size=of.size, sha256=of.sha256, headers=headers, metadata={}), **changes)


# --- Options ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"object": "a", "src": "/x", "bucket": "a/b"},
        {"object": "/a"},
        {"object": "a/../b"},
        {"object": "./a"},
        {"object": ""},
        {"object": "a" * 1025},
        {"object": "a\udc80"},
        {"object": "a", "metadata": {"sha256": "x"}},
        {"object": "a", "metadata": {"Name": "x"}},
        {"object": "a", "metadata": {"name": "ä"}},
        {"object": "a", "metadata": {"name": ["x"]}},
        {"object": "a", "metadata": {"name": "x" * 2048}},
        {"object": "a", "tags": {str(number): "x" for number in range(11)}},
        {"object": "a", "tags": {"": "x"}},
        {"object": "a", "tags": {"a": "b&c"}},
        {"object": "a", "tags": {"a": True}},
        {"object": "a", "kms_key_id": "k"},
        {"object": "a", "content": "\ud800"},
        {"object": "a", "content_type": "text/html\r\nx: y"},
        {"prefix": "a", "state": "absent"},
        {"prefix": "", "state": "absent", "purge": True},
        {"prefix": "///", "state": "absent", "purge": True},
        {"prefix": "a", "purge": True},
        {"object": "a", "state": "absent", "purge": True},
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(params: dict[str, Any]) -> None:
    with failing("invalid_parameter"):
        request(**params)


def test_a_prefix_ends_at_a_slash() -> None:
    assert request(prefix="app").prefix == "app/"
    assert request(prefix="/app/").prefix == "app/"
    assert request(prefix="").prefix == ""


# --- Files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("*.html", ["a.html", "b/a.html"], ["a.htm", "a.html.gz"]),
        ("docs", ["docs/a", "x/docs/y/z"], ["docs2/a", "mydocs"]),
        ("/docs", ["docs/a"], ["x/docs/a"]),
        ("docs/*.txt", ["docs/a.txt"], ["docs/x/a.txt", "x/docs/a.txt"]),
        ("docs/**/*.txt", ["docs/a.txt", "docs/x/y/a.txt"], ["a.txt"]),
        ("**/tmp", ["tmp/a", "a/b/tmp"], ["tmpx"]),
        ("?.txt", ["a.txt"], ["ab.txt"]),
        ("[ab].txt", ["a.txt"], ["c.txt"]),
        ("[!ab].txt", ["c.txt"], ["a.txt"]),
        ("a[.txt", ["a[.txt"], ["a.txt"]),
        ("a+(b).txt", ["a+(b).txt"], ["aab.txt"]),
        ("[a&&b]", ["&", "a"], ["c"]),
    ],
)
def test_patterns(pattern: str, fitting: list[str], others: list[str]) -> None:
    assert [name for name in fitting if not matches(pattern, name)] == []
    assert [name for name in others if matches(pattern, name)] == []


def test_a_pattern_that_cannot_be_meant() -> None:
    with failing("invalid_parameter") as failure:
        matches("[z-a].txt", "a.txt")
    assert "'[z-a].txt'" in failure().message


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    for name in ("index.html", "a b/ä&?#%.txt", "assets/app.js", "assets/app.js.map", "node_modules/x/y.js"):
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    return top


def test_a_directory(tree: Path) -> None:
    found = wanted(request(prefix="site", src=str(tree), exclude=["*.map", "node_modules"]))
    assert [each.key for each in found] == ["site/a b/ä&?#%.txt", "site/assets/app.js", "site/index.html"]
    assert [each.key for each in wanted(request(prefix="", src=str(tree), recursive=False))] == ["index.html"]
    assert [each.key for each in wanted(request(prefix="s", src=str(tree), include=["*.map"]))] == [
        "s/assets/app.js.map"
    ]
    assert [each.key for each in wanted(request(prefix="s", src=str(tree / "index.html")))] == ["s/index.html"]


def test_nothing_is_left_out_silently(tree: Path, tmp_path: Path) -> None:
    with failing("source_missing"):
        wanted(request(prefix="s", src=str(tree), include=["*.pdf"]))
    with failing("source_missing"):
        wanted(request(prefix="s", src=str(tree / "gone")))
    with failing("invalid_parameter"):
        wanted(request(object="s", src=str(tree)))
    (tree / "inside").symlink_to("index.html")
    assert "s/inside" in {each.key for each in wanted(request(prefix="s", src=str(tree)))}
    (tmp_path / "tree-secret").write_text("secret", encoding="utf-8")
    for name, target in (("out", "../tree-secret"), ("up", ".."), ("directory", "assets"), ("broken", "nowhere")):
        (tree / name).symlink_to(target)
        with pytest.raises(Exception, match=r"exclude|Correct src") as caught:
            wanted(request(prefix="s", src=str(tree)))
        assert caught.value.code in ("source_unusable", "source_missing")
        assert wanted(request(prefix="s", src=str(tree), exclude=[name]))
        (tree / name).unlink()
    os.mkfifo(tree / "pipe")
    with failing("source_unusable"):
        wanted(request(prefix="s", src=str(tree)))


def test_a_file_that_changes_or_vanishes_is_noticed(tree: Path) -> None:
    path = tree / "index.html"
    (looked_at,) = wanted(request(object="o", src=str(path)))
    assert digest(looked_at) == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_text("longer than before", encoding="utf-8")
    with failing("source_changed"):
        digest(looked_at)
    path.unlink()
    with failing("source_missing"):
        digest(looked_at)


# --- Objects ---------------------------------------------------------------------------------------------


def test_the_same_is_not_sent_again() -> None:
    mine = local("a.txt")
    plan = plan_upload(request(object="a.txt", content="x"), [mine], {"a.txt": remote(mine, version_id="v1")})
    assert not plan.changed
    assert plan.steps == ()
    (entry,) = plan.result["objects"]
    assert entry == {"key": "a.txt", "changed": False, "bytes": 1, "sha256": mine.sha256, "version_id": "v1"}


@pytest.mark.parametrize(
    ("params", "changes", "why"),
    [
        ({}, {"sha256": None}, "its SHA-256 is unknown"),
        ({}, {"sha256": "0" * 64}, "its content"),
        ({}, {"size": 2}, "its content"),
        ({"content_type": "text/css"}, {}, "ContentType"),
        ({"cache_control": "no-store"}, {}, "CacheControl"),
        ({}, {"headers": {"CacheControl": "no-store"}}, "CacheControl"),
        ({"metadata": {"release": 1}}, {}, "metadata"),
        ({}, {"metadata": {"release": "1"}}, "metadata"),
        ({"tags": {"team": "a"}}, {"tags": {}}, "tags"),
        ({"encryption": "sse-kms"}, {"encryption": "AES256"}, "encryption"),
        ({"encryption": "sse-kms", "kms_key_id": "k"}, {"encryption": "aws:kms", "kms_key_id": "a/l"}, "encryption"),
        ({"overwrite": "always"}, {}, "overwrite=always"),
    ],
    ids=str,
)
def test_what_differs_is_sent(params: dict[str, Any], changes: dict[str, Any], why: str) -> None:
    mine = local()
    plan = plan_upload(request(object="a", content="x", **params), [mine], {"a": remote(mine, **changes)})
    assert plan.changed
    assert why in plan.steps[0]
    assert plan.irreversible
    if params.get("overwrite") != "always":
        never = request(object="a", content="x", **{**params, "overwrite": "never"})
        assert not plan_upload(never, [mine], {"a": remote(mine, **changes)}).changed


@pytest.mark.parametrize(
    ("params", "changes"),
    [
        ({}, {"headers": {"ContentType": "other/guess"}}),
        ({}, {"tags": {"a": "b"}}),
        ({"storage_class": "STANDARD_IA"}, {}),
        ({"encryption": "sse-kms", "kms_key_id": "k"}, {"encryption": "aws:kms", "kms_key_id": "arn:aws:kms:x:key/k"}),
        ({"encryption": "sse-kms", "kms_key_id": "alias/k"}, {"encryption": "aws:kms", "kms_key_id": "x:key/k"}),
    ],
    ids=str,
)
def test_what_does_not_count(params: dict[str, Any], changes: dict[str, Any]) -> None:
    mine = local()
    assert not plan_upload(request(object="a", content="x", **params), [mine], {"a": remote(mine, **changes)}).changed


def test_absent_names_only_what_is_there() -> None:
    files = [local("p/a"), local("p/b")]
    plan = plan_upload(request(prefix="p", src="/x", state="absent"), files, {"p/b": remote(files[1])})
    assert [change.key for change in plan.changes] == ["p/b"]
    assert [(each["key"], each["changed"]) for each in plan.result["objects"]] == [("p/a", False), ("p/b", True)]
    assert plan.after == {"p/b": {"state": "absent"}}


def test_many_objects_are_counted() -> None:
    files = [local(f"p/{number}") for number in range(30)]
    plan = plan_upload(request(prefix="p", src="/x"), files, {})
    assert len(plan.steps) == 21
    assert "30 objects" in plan.steps[0]
    assert plan.irreversible == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b.html", "text/html"),
        ("dump.sql.gz", "application/gzip"),
        ("x.tar.gz", "application/gzip"),
        ("noname", "application/octet-stream"),
    ],
)
def test_types_are_guessed(name: str, expected: str) -> None:
    assert content_type_of(request(object=name, content="x"), local(name)) == expected


def test_arguments_of_a_put() -> None:
    mine = local()
    wished = request(object="a", content="x", metadata={"release": 7}, tags={"a b": "c/d"}, storage_class="STANDARD_IA")
    assert put_arguments(wished, mine, "text/plain") == {
        "ContentType": "text/plain",
        "Metadata": {"release": "7", "sha256": mine.sha256},
        "Tagging": "a+b=c%2Fd",
        "StorageClass": "STANDARD_IA",
    }


def test_lanes_keep_the_order_and_stop_at_a_failure() -> None:
    assert in_lanes(lambda number: number * 2, range(100), 7) == [number * 2 for number in range(100)]
    assert in_lanes(str, [], 4) == []
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 3:
            raise ValueError(number)

    with pytest.raises(ValueError, match="3"):
        in_lanes(work, range(100_000), 2)
    assert len(begun) < 100_000
