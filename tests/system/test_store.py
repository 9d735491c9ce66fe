# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What both kinds of store promise, each on the real thing."""

from __future__ import annotations

import hashlib
import io
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Series, require_conditional
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Encryption
from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import MIB, Budget

from harness.servers import StoreAt
from harness.stores import RACES, failing, open_at, race, run_context


def test_small_objects(store: StoreAt) -> None:
    opened = open_at(store)
    assert opened.get("a/b") is None
    assert opened.head("a/b") is None
    assert opened.create("a/b", b"first")
    assert opened.create("a/b", b"first"), "the same body is our own, whose answer was lost"
    assert not opened.create("a/b", b"second")
    assert opened.get("a/b") == b"first" == store.read("a/b")
    opened.put("a/b", b"third")
    assert opened.get("a/b") == b"third"
    found = opened.head("a/b")
    assert found is not None
    assert (found.key, found.size) == ("a/b", 5)
    assert abs(found.modified - opened.now(may_write=True)) < timedelta(seconds=30)
    assert [each.key for each in opened.list("")] == ["a/b"]
    assert next(iter(opened.list(""))) == found
    opened.delete("a/b")
    opened.delete("a/b")
    assert opened.get("a/b") is None
    with failing("object_missing"), opened.open("a/b"):
        pass


def test_an_empty_object_and_odd_names(store: StoreAt) -> None:
    opened = open_at(store)
    keys = ["env/a b", "env/a+b", "env/a%20b", "env/é", "env/中", "env/a&b=c?d#e", "env/x.y_z-0"]
    for key in keys:
        opened.put(key, b"")
    assert [found.key for found in opened.list("env/")] == sorted(keys, key=str.encode)
    for key in keys:
        assert opened.get(key) == b"", key
        assert opened.head(key) is not None, key


def test_lists_of_more_than_a_page(store: StoreAt) -> None:
    opened = open_at(store)
    keys = [f"many/{number:06d}" for number in range(1005)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: opened.put(key, b""), keys))
    opened.put("manyfold", b"")
    assert [found.key for found in opened.list("many/")] == keys
    assert [found.key for found in opened.list("many/", after=keys[500])] == keys[501:]
    assert [found.key for found in opened.list("many/", after="many/001")] == keys[1000:]
    assert [found.key for found in opened.list("many/0010")] == keys[1000:]
    assert [found.key for found in opened.list("", after="many/zzz")] == ["manyfold"]
    assert next(iter(opened.list("many/"))).key == keys[0]


def test_prefixes_of_names_are_kept_apart(store: StoreAt) -> None:
    opened = open_at(store)
    for key in ("prod/main/x", "prod/main2/x", "prod2/main/x"):
        opened.put(key, b"")
    assert [found.key for found in opened.list("prod/main/")] == ["prod/main/x"]


@pytest.mark.parametrize("size", [0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 23 * MIB + 17])
def test_streams(store: StoreAt, size: int) -> None:
    opened = open_at(store)
    data = os.urandom(size)
    seen: list[int] = []
    with opened.sink("s/x", part_size=5 * MIB, budget=Budget(), encryption=Encryption()) as made:
        made.pump(io.BytesIO(data), seen.append)
        assert opened.head("s/x") is None, "nothing appears before the commit"
        assert list(opened.list("")) == []
        stored = made.commit()
    assert (stored.key, stored.size, stored.sha256) == ("s/x", size, hashlib.sha256(data).hexdigest())
    assert seen == sorted(seen)
    assert (seen[-1] if seen else 0) == size
    with opened.open("s/x") as stream:
        head = stream.read(10)
        assert head == data[:10]
        assert head + stream.read() == data
        assert stream.read(1) == b""
    assert list(opened.unfinished("")) == []


def test_a_stream_that_is_not_committed_leaves_nothing(store: StoreAt) -> None:
    opened = open_at(store)

    def fail() -> None:
        with opened.sink("s/x", part_size=5 * MIB, budget=Budget(), encryption=Encryption()) as made:
            made.pump(io.BytesIO(bytes(12 * MIB)))
            assert [item.key.startswith("s/") for item in opened.unfinished("s/")] == [True]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(opened.list("")) == []
    assert list(opened.unfinished("")) == []


def test_what_a_killed_writer_leaves_is_found_and_dropped(store: StoreAt) -> None:
    opened = open_at(store)
    made = opened.sink("s/x", part_size=5 * MIB, budget=Budget(), encryption=Encryption())
    made.__enter__()
    made.pump(io.BytesIO(bytes(12 * MIB)))
    (left,) = open_at(store).unfinished("s/")
    assert datetime.now(UTC) - timedelta(minutes=5) < left.started < datetime.now(UTC) + timedelta(minutes=5)
    open_at(store).abandon(left)
    open_at(store).abandon(left)
    assert list(opened.unfinished("")) == []
    made.abort()
    assert list(opened.list("")) == []


def test_two_streams_to_one_key_do_not_mix(store: StoreAt) -> None:
    opened = open_at(store)
    one, two = os.urandom(11 * MIB), os.urandom(12 * MIB)
    first = opened.sink("s/x", part_size=5 * MIB, budget=Budget(), encryption=Encryption())
    second = opened.sink("s/x", part_size=5 * MIB, budget=Budget(), encryption=Encryption())
    with first, second:
        first.pump(io.BytesIO(one))
        second.pump(io.BytesIO(two))
        assert first.commit().size == len(one)
        assert second.commit().size == len(two)
    assert opened.get("s/x") == two


def test_processes_race_and_each_document_has_one_winner(store: StoreAt) -> None:
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        wins = list(pool.map(race, [store.url] * 3, [store.args] * 3))
    assert sum(wins) == RACES
    assert len(store.keys("race-")) == RACES


def test_versions_of_a_document(store: StoreAt) -> None:
    opened = open_at(store)
    require_conditional(opened, run_context())
    require_conditional(opened, run_context())
    series = Series(opened, "env/doc", keep=3)
    current = None
    for number in range(6):
        current = series.create_next({"n": number}, after=number)
        assert current is not None
    assert series.current() == current
    assert [document.body["n"] for document in series.history()] == [3, 4, 5]


def test_the_clock_of_the_store(store: StoreAt) -> None:
    opened = open_at(store)
    first = opened.now(may_write=True)
    assert abs(first - datetime.now(UTC)) < timedelta(seconds=30)
    assert opened.now(may_write=True) >= first - timedelta(seconds=1)
    assert store.keys() == []


def test_many_are_deleted_at_once(store: StoreAt) -> None:
    opened = open_at(store)
    for name in ("a/b", "a/ü", "a/c"):
        opened.put(name, b"1")
    opened.delete_all([])
    opened.delete_all(["a/b", "a/ü", "a/never"])
    assert [stored.key for stored in opened.list("a/")] == ["a/c"]
    opened.delete_all(["a/c"])
    assert list(opened.list("a/")) == []
