# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who one is, and the teams that one belongs to, over HTTP."""

from __future__ import annotations

from typing import Any

from sandbox.standin.http import Reply
from sandbox.standin.refusal import not_found
from sandbox.vercel.call import Call, route
from sandbox.vercel.model import Team


@route("GET", "/user")
def user(call: Call) -> Reply:
    """Whose token it is."""
    found = call.user
    shown = {
        "id": found.id,
        "uid": found.id,
        "email": found.email,
        "name": found.username,
        "username": found.username,
        "version": "northstar",
        "defaultTeamId": found.default_team,
        "billing": {"plan": found.plan},
    }
    return Reply(body={"user": shown})


@route("GET", "/teams")
def teams(call: Call) -> Reply:
    """The teams of the token."""
    known = call.store.look().teams
    mine = [known[each] for each in call.token.teams if each in known]
    pagination = {"count": len(mine), "next": None, "prev": None}
    return Reply(body={"teams": [_team(each) for each in mine], "pagination": pagination})


@route("GET", "/teams/{name}")
def team(call: Call, name: str) -> Reply:
    """One team."""
    for each in call.store.look().teams.values():
        if name in (each.id, each.slug) and each.id in call.token.teams:
            return Reply(body=_team(each))
    raise not_found("Team not found.")


def _team(team: Team) -> dict[str, Any]:
    return {
        "id": team.id,
        "slug": team.slug,
        "name": team.name or team.slug,
        "avatar": None,
        "membership": {"role": "OWNER", "confirmed": True},
        "billing": {"plan": team.plan},
        "sensitiveEnvironmentVariablePolicy": "on" if team.sensitive_only else "off",
        "created": "2026-01-01T00:00:00.000Z",
        "createdAt": 1767225600000,
    }
