# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the stand-in says no."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Refused(Exception):
    """A request that is answered with an error and has changed nothing."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.body: dict[str, Any] = {"error": {"code": code, "message": message, **more}}


def bad_request(message: str, **more: Any) -> Refused:
    """The body or the query is wrong."""
    return Refused(400, "bad_request", message, **more)


def not_found(message: str) -> Refused:
    """It does not exist, or not for this token and team."""
    return Refused(404, "not_found", message)


def forbidden(message: str, **more: Any) -> Refused:
    """The token may not do this."""
    return Refused(403, "forbidden", message, **more)
