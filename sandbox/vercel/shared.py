# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all requests to one server share."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.vercel.files import Files
from sandbox.vercel.functions import Functions
from sandbox.vercel.limits import Limiter
from sandbox.vercel.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The state, the files, the functions, and the limits of requests."""

    store: Store
    files: Files
    limiter: Limiter
    functions: Functions
