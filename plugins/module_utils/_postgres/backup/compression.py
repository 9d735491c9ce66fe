# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How pg_dump compresses (private to ops.runbooks); pure."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

#: Levels that are used where none is asked for: they keep up with what a server's COPY delivers, and leave a processor
#: to those who store it. zstd at 3 takes a quarter more of pg_dump's time, and stores 9 % less.
_LEVELS = {"zstd": 1, "gzip": 1}
_HIGHEST = {"zstd": 22, "gzip": 9}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """How pg_dump compresses; ``level`` is None where there is none."""

    method: str
    level: int | None

    @property
    def text(self) -> str:
        """``zstd:1``, ``gzip:1`` or ``none``."""
        return self.method if self.level is None else f"{self.method}:{self.level}"

    def argument(self, major: int) -> str:
        """pg_dump's option: up to 15 it knows gzip's level only."""
        if self.method == "none":
            return "--compress=0"
        return f"--compress={self.text}" if major >= 16 else f"--compress={self.level}"


def compression(wanted: str, level: int | None, *, zstd: bool, tool: str) -> Compression:
    """The method and level to use. Raises ``invalid_parameter`` where the tool cannot do what was asked for."""
    method = ("zstd" if zstd else "gzip") if wanted == "auto" else wanted
    if method == "zstd" and not zstd:
        raise _invalid(
            "compression", wanted, f"{tool} cannot compress with zstd", "Use auto, which then takes gzip, or gzip."
        )
    if method == "none":
        return Compression(method=method, level=None)
    chosen = _LEVELS[method] if level is None else level
    if not 1 <= chosen <= _HIGHEST[method]:
        raise _invalid(
            "compression_level", str(level), f"{method} has levels 1 to {_HIGHEST[method]}", "Use one of these."
        )
    return Compression(method=method, level=chosen)


def _invalid(what: str, value: str, reason: str, remedy: str) -> RunbookError:
    return RunbookError(code="invalid_parameter", attempted=f"use {what}", object=value, reason=reason, remedy=remedy)
