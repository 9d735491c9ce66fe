# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API as a whole: importing its parts registers their routes."""

from __future__ import annotations

from urllib.parse import unquote

from sandbox.standin.http import Reply
from sandbox.standin.refusal import not_found
from sandbox.vercel import api_accounts, api_configs, api_create, api_deployments, api_env, api_projects, api_rolling
from sandbox.vercel.call import ROUTES, Call

PARTS = (api_accounts, api_configs, api_create, api_deployments, api_env, api_projects, api_rolling)


def dispatch(call: Call) -> Reply:
    """The answer to a request.

    Raises:
        Refused: It is answered with an error.
    """
    call.token  # noqa: B018 - who is unknown learns nothing, not even which paths exist
    for method, pattern, handler in ROUTES:
        match = pattern.fullmatch(call.path)
        if match is not None and method == call.method:
            return handler(call, **{name: unquote(value) for name, value in match.groupdict().items()})
    raise not_found(f"The stand-in does not know {call.method} {call.path}.")
