# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that are handed over: whole or not at all, and whoever dies is not waited for."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.forked import Request, hand_over


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "s"))
        made.listen()
        yield made


def taking(listener: socket.socket, then: Callable[[Request], None]) -> threading.Thread:
    """Take the next run elsewhere, and let go of it."""

    def take() -> None:
        request = Request.taken(listener)
        assert request is not None
        then(request)
        request.close_streams()
        request.connection.close()

    thread = threading.Thread(target=take)
    thread.start()
    return thread


def test_a_run_is_handed_over_whole(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "x" * 300_000
    monkeypatch.setenv("A_LONG_ONE", long)
    seen: list[tuple[list[str], bool, str, list[int]]] = []

    def look(request: Request) -> None:
        seen.append((request.argv, request.environment["A_LONG_ONE"] == long, request.directory, request.streams))
        assert [os.fstat(each).st_ino for each in request.streams] == [os.fstat(each).st_ino for each in range(3)]
        request.end(7)

    thread = taking(listener, look)
    assert hand_over(listener.getsockname(), ["a", "b"]) == 7
    thread.join()
    ((argv, whole, directory, streams),) = seen
    assert (argv, whole, directory, len(streams)) == (["a", "b"], True, str(Path.cwd()), 3)


def test_whoever_takes_it_and_dies_was_killed(listener: socket.socket) -> None:
    thread = taking(listener, lambda request: None)
    assert hand_over(listener.getsockname(), ["a"]) == -signal.SIGKILL
    thread.join()


def test_whoever_is_refused_goes_on_by_itself(listener: socket.socket) -> None:
    thread = taking(listener, Request.refuse)
    assert hand_over(listener.getsockname(), ["a"]) is None
    thread.join()


def test_nobody_listens(tmp_path: Path) -> None:
    assert hand_over(str(tmp_path / "none"), ["a"]) is None


@pytest.mark.parametrize("said", [b"", b"\0" * 3, (100).to_bytes(8, "big") + b"half"], ids=["nothing", "head", "half"])
def test_whoever_dies_while_handing_over_is_let_go(listener: socket.socket, said: bytes) -> None:
    """With the descriptors that came along: somebody waits for their end."""
    reader, writer = os.pipe()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(listener.getsockname())
        if said:
            socket.send_fds(client, [said], [writer, writer, writer])
    os.close(writer)
    assert Request.taken(listener) is None
    assert os.read(reader, 1) == b""
    os.close(reader)
