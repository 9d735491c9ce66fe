# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every test needs to find the code under test: the checkout, the harness and the collection's import path."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS))

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings, strategies  # noqa: E402

from harness.paths import CHECKOUT, COLLECTIONS  # noqa: E402

for path in (CHECKOUT, COLLECTIONS):
    if str(path) not in sys.path:
        sys.path.insert(1, str(path))


# How long generated input takes says how busy the machine is, and nothing about the code.
settings.register_profile("ops.runbooks", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ops.runbooks")


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Make the tables of Unicode that in a fresh checkout all workers would make at once."""
    if getattr(session.config.option, "numprocesses", None) and not hasattr(session.config, "workerinput"):
        strategies.text().validate()


def pytest_configure() -> None:
    """Take signals as a terminal gives them: what nohup or a shell's background job ignores, children would ignore."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
