# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module http_probe (private to ops.runbooks): ask web addresses, and say whether they answer as expected.

What is measured is a decision and never a failure of the task: who asks decides what follows from it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._probe.judge import Tally, summary
from ansible_collections.ops.runbooks.plugins.module_utils._probe.line import Line
from ansible_collections.ops.runbooks.plugins.module_utils._probe.model import PROBE_OPTIONS, Probe, read_probes

#: Options of modules that make requests of their own, documented in the fragment ``_probe``.
ASKING_SPEC = ArgumentSpec(
    options={
        "probes": {"type": "list", "elements": "dict", "options": PROBE_OPTIONS},
        "interval": {"type": "float", "default": 0.0},
        "timeout": {"type": "str", "default": "10s"},
        "deadline": {"type": "str", "default": "2m"},
        "workers": {"type": "int", "default": 4},
        "tls_ca": {"type": "path"},
    }
)
PROBE_SPEC = ASKING_SPEC.merge(
    ArgumentSpec(
        options={
            "samples": {"type": "int", "default": 1},
            "wait_for": {"type": "str", "default": "0s"},
        },
    )
)
#: Seconds between two rounds that wait for better answers.
_PAUSE = 1.0
_MOST_WORKERS = 64


class Asker:
    """Makes the requests of some probes, several at once, until all are made or the time is over."""

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        self._context = context
        self._interval = max(0.0, params["interval"])
        self._timeout = parse_duration(params["timeout"], "timeout").total_seconds()
        self._workers = max(1, min(params["workers"], _MOST_WORKERS))
        self._ca_cert = params["tls_ca"]
        self._end = context.clock.monotonic() + parse_duration(params["deadline"], "deadline").total_seconds()
        try:
            Line(timeout=self._timeout, ca_cert=self._ca_cert)
        except OSError as error:
            raise RunbookError(
                code="source_unusable",
                attempted="read the certificates",
                object=str(self._ca_cert),
                reason="it is no file of certificates that can be read",
                remedy="Correct tls_ca.",
            ) from error

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self._end - self._context.clock.monotonic()

    def ask(self, probes: Sequence[Probe]) -> list[Tally]:
        """What the answers say. The samples of one probe are asked in turn with those of the others."""
        tallies = [Tally(probe) for probe in probes]
        waiting: queue.SimpleQueue[Tally] = queue.SimpleQueue()
        for number in range(max(probe.samples for probe in probes)):
            for tally in tallies:
                if number < tally.probe.samples:
                    waiting.put(tally)
        lock = threading.Lock()
        count = min(self._workers, waiting.qsize())
        threads = [threading.Thread(target=self._work, args=(waiting, lock), daemon=True) for _each in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return tallies

    def _work(self, waiting: queue.SimpleQueue[Tally], lock: threading.Lock) -> None:
        line = Line(timeout=self._timeout, ca_cert=self._ca_cert)
        try:
            while self.left > 0:
                try:
                    tally = waiting.get_nowait()
                except queue.Empty:
                    return
                answer = line.ask(tally.probe)
                with lock:
                    tally.add(answer, self._context.clock.now().timestamp())
                if self._interval:
                    self._context.clock.sleep(min(self._interval, max(0.0, self.left)))
        finally:
            line.close()


class HttpProbe(Operation[list[Tally], Plan]):
    """Ask, in check mode too: a question changes nothing."""

    noun: ClassVar[str] = "probe"
    spec: ClassVar[ArgumentSpec] = PROBE_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._probes = read_probes(params["probes"], params["samples"], context.redactor)
        self._wait = parse_duration(params["wait_for"], "wait_for").total_seconds()
        self._asker = Asker(params, context)

    def observe(self) -> list[Tally]:
        """Ask, and ask again while it is worth waiting for better answers."""
        clock = self.context.clock
        end = clock.monotonic() + self._wait
        while True:
            tallies = self._asker.ask(self._probes)
            good = summary(tallies, clock.now().timestamp())["decision"] == "pass"
            if good or clock.monotonic() + _PAUSE > end or self._asker.left < _PAUSE:
                return tallies
            clock.sleep(_PAUSE)

    def plan(self, state: list[Tally]) -> Plan:
        """The answer; there is nothing to change."""
        return Plan(changed=False, result=summary(state, self.context.clock.now().timestamp()))

    def act(self, state: list[Tally], plan: Plan) -> Mapping[str, Any]:
        """Never called: nothing is ever planned."""
        raise ValueError("a question has nothing to carry out")
