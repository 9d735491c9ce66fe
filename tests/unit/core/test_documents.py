# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents that several writers may change, on a directory store."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import (
    PROBE_KEY,
    Document,
    Series,
    require_conditional,
)
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import StoredObject
from ansible_collections.ops.runbooks.plugins.module_utils._core.store_file import FileStore

from harness.stores import RACES, failing, race, run_context


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store", run_context())


def write(series: Series, **content: Any) -> Document:
    current = series.current()
    written = series.create_next(content, after=current.number if current else 0)
    assert written is not None
    return written


def test_versions_follow_each_other(store: FileStore) -> None:
    series = Series(store, "env/doc")
    assert series.current() is None
    first = write(series, content="first")
    assert first.number == 1
    assert first.body["content"] == "first"
    second = write(series, content="second")
    assert series.current() == second
    assert [document.body["content"] for document in series.history()] == ["first", "second"]
    assert list(series.history(after=1)) == [second]
    assert [found.key for found in store.list("")] == ["env/doc/000000000001.json", "env/doc/000000000002.json"]
    body = json.loads(store.get("env/doc/000000000002.json") or b"")
    assert body == {"schema": 1, "release": body["release"], "token": second.token, "content": "second"}


def overtaken(store: FileStore, times: int) -> Series:
    """A document to which somebody else adds a version first, so many times."""
    theirs = Series(store, "doc")

    def create(key: str, raw: bytes) -> bool:
        nonlocal times
        if times:
            times -= 1
            write(theirs, content="theirs")
        return store.create(key, raw)

    return Series(store, "doc", create=create)


def test_a_version_is_added_behind_those_of_others(store: FileStore) -> None:
    mine, said = overtaken(store, 1), list[str]()
    mine.append({"content": "mine"}, attempted="write", effect=said.append)
    assert [document.body["content"] for document in mine.history()] == ["theirs", "mine"]
    assert said == ["write", "write"]


def test_who_is_overtaken_every_time_says_so(store: FileStore) -> None:
    mine, said = overtaken(store, 99), list[str]()
    with failing("store_failed") as failure:
        mine.append({"content": "mine"}, attempted="write it down", effect=said.append)
    assert "write it down" in failure().message
    assert [document.body["content"] for document in mine.history()] == ["theirs"] * len(said)
    assert len(said) == 5


def test_only_one_of_two_that_read_the_same_version_writes_the_next(store: FileStore) -> None:
    mine, theirs = Series(store, "doc"), Series(store, "doc")
    assert mine.create_next({}, after=0) is not None
    assert theirs.create_next({}, after=0) is None


def test_writers_with_equal_bodies_do_not_both_win(store: FileStore) -> None:
    """Both copied the version that they read, its token included."""
    first = write(Series(store, "doc"), content="same")
    assert Series(store, "doc").create_next(first.body, after=1) is not None
    assert Series(store, "doc").create_next(first.body, after=1) is None


def test_a_late_writer_that_fills_a_gap_has_lost(store: FileStore) -> None:
    """It read version 1, slept, and meanwhile versions 2 to 4 were written and 2 was removed."""
    series = Series(store, "doc")
    for number in range(4):
        assert series.create_next({"n": number}, after=number)
    store.delete("doc/000000000002.json")
    assert series.create_next({"late": True}, after=1) is None
    current = series.current()
    assert current is not None
    assert current.body["n"] == 3


def test_a_rewritten_version_keeps_its_number_and_token(store: FileStore) -> None:
    series = Series(store, "doc")
    first = write(series, content="old")
    rewritten = series.rewrite(first, {**first.body, "content": "new"})
    assert rewritten is not None
    assert (rewritten.number, rewritten.token, rewritten.body["content"]) == (1, first.token, "new")
    assert rewritten.modified >= first.modified
    write(series, content="next")
    assert series.rewrite(first, {"content": "late"}) is None, "there is a higher one"


def test_old_versions_go_and_the_highest_never_does(store: FileStore) -> None:
    series = Series(store, "doc", keep=3)
    for number in range(1, 31):
        assert write(series, n=number).number == number
    assert [document.number for document in series.history()] == [28, 29, 30]


class Undeletable(FileStore):
    """A store whose credentials may not delete."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, run_context())
        self.attempts = 0

    def delete(self, key: str) -> None:
        self.attempts += 1
        raise RunbookError(code="store_denied", attempted="delete", object=key, reason="denied", remedy="none")


def test_a_denied_delete_is_no_failure(tmp_path: Path) -> None:
    store = Undeletable(tmp_path / "store")
    series = Series(store, "doc", keep=3)
    for number in range(1, 31):
        assert write(series, n=number).number == number
    assert len(list(series.history())) == 30
    assert store.attempts == 1, "one refusal is enough"


class Counting(FileStore):
    """Counts lists by pages of 1,000, as requests to a bucket would be."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, run_context())
        self.requests = 0

    def list(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        self.requests += 1
        for number, found in enumerate(super().list(prefix, after=after)):
            if number and number % 1000 == 0:
                self.requests += 1
            yield found


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 2000, 5345])
def test_the_highest_of_many_versions_is_found_in_few_requests(tmp_path: Path, count: int) -> None:
    store = Counting(tmp_path / "store")
    folder = tmp_path / "store" / "doc"
    folder.mkdir(parents=True)
    for number in range(1, count + 1):
        (folder / f"{number:012d}.json").write_text('{"schema": 1, "token": "t"}')
    current = Series(store, "doc").current()
    assert current is not None
    assert current.number == count
    assert store.requests <= (1 if count < 1000 else 30)


def test_the_highest_is_found_across_gaps(tmp_path: Path) -> None:
    store = Counting(tmp_path / "store")
    folder = tmp_path / "store" / "doc"
    folder.mkdir(parents=True)
    numbers = [*range(1, 1500), *range(4000, 4010), 77_777]
    for number in numbers:
        (folder / f"{number:012d}.json").write_text('{"schema": 1, "token": "t"}')
    current = Series(store, "doc").current()
    assert current is not None
    assert current.number == 77_777


def test_a_newer_schema_is_refused_naming_the_release(store: FileStore) -> None:
    Series(store, "doc", schema=3).create_next({}, after=0)
    with failing("document_too_new") as failure:
        Series(store, "doc", schema=2).current()
    assert "ops.runbooks 1.0.0 or later" in failure().message
    assert Series(store, "doc", schema=4).current() is not None


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b'{"schema": "1"}', b"\xff\xfe"])
def test_what_is_no_document_is_named(store: FileStore, raw: bytes) -> None:
    store.put("doc/000000000001.json", raw)
    with failing("object_corrupt") as failure:
        Series(store, "doc").current()
    assert "doc/000000000001.json" in failure().message


def test_foreign_objects_beside_a_document_are_ignored(store: FileStore) -> None:
    store.put("doc/README.txt", b"hello")
    store.put("doc/1.json", b"{}")
    store.put("doc/zzz/000000000001.txt", b"")
    assert Series(store, "doc").current() is None
    write(Series(store, "doc"))
    assert [document.number for document in Series(store, "doc").history()] == [1]


def test_no_write_that_was_reported_as_won_is_lost(store: FileStore) -> None:
    won: list[str] = []

    def work(name: int) -> None:
        series = Series(store, "doc", keep=5)
        done = 0
        while done < 10:
            current = series.current()
            entries = current.body["entries"] if current else []
            entry = f"{name}-{done}"
            if series.create_next({"entries": [*entries, entry]}, after=current.number if current else 0):
                won.append(entry)
                done += 1

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    current = Series(store, "doc").current()
    assert current is not None
    assert len(won) == 40
    # One that was overtaken before it could see that it had won is written twice, and none is missing.
    assert set(current.body["entries"]) == set(won)


def test_processes_race_and_each_document_has_one_winner(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        wins = list(pool.map(race, [f"file://{tmp_path}/store"] * 3, [{}] * 3))
    assert sum(wins) == RACES


def test_probe_of_a_store_that_honours_conditions(store: FileStore) -> None:
    assert store.get(PROBE_KEY) is None
    require_conditional(store, run_context())
    written = store.get(PROBE_KEY)
    assert written is not None
    require_conditional(store, run_context())
    assert store.get(PROBE_KEY) == written, "the second proof writes nothing"


def test_probe_of_a_store_that_does_not(tmp_path: Path) -> None:
    class Overwriting(FileStore):
        def create(self, key: str, body: bytes) -> bool:
            self.put(key, body)
            return True

    store = Overwriting(tmp_path / "store", run_context())
    for _each in range(2):
        with failing("store_not_conditional"):
            require_conditional(store, run_context())


def test_the_probe_does_not_run_in_check_mode(store: FileStore) -> None:
    with pytest.raises(ValueError, match="check mode"):
        require_conditional(store, run_context(check_mode=True))
    assert list(store.list("")) == []
