# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the word for a deployment to the deployment (private to ops.runbooks): what Vercel has to be asked for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.client import Vercel
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import Deployment, Project
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.target import (
    LAST_GOOD,
    PREVIOUS,
    Intent,
    Wish,
    find_release,
    is_sha,
    last_good,
    left_behind,
    previous,
    reference_of,
    resumed,
    rolled_away,
)

#: Deployments that are looked through for one.
_FAR = 1000


def resolve(
    vercel: Vercel, wish: Wish, project: Project, left: str, intent: Intent | None, moves: Iterable[Intent] = ()
) -> Deployment:
    """The deployment that is meant. ``moves`` are newest first. Raises ``deployment_missing``, ``release_missing``."""
    reference = resumed(wish, left, intent) or find_release(wish.to, wish.releases) or reference_of(wish.to)
    if not reference and wish.to == PREVIOUS:
        reference = _previous(vercel, wish, project, left, rolled_away(moves))
    elif not reference and wish.to == LAST_GOOD:
        serving = (vercel.deployment(left) or project.production) if left else None
        reference = last_good(serving, vercel.candidates(project), wish, intent, rolled_away(moves))
    elif not reference:
        reference = _by_commit(vercel, wish, project)
    if not reference:
        raise _missing(vercel, wish.to, "neither a release on record nor a production deployment answers to it")
    found = vercel.deployment(reference)
    if found is None or not found.id:
        raise _missing(vercel, reference, "Vercel does not know it, or this token may not see it")
    return found if found.candidate is not None else _with_candidate(vercel, project, found)


def named_deployment(vercel: Vercel, name: str, project: Project) -> Deployment | None:
    """The one deployment of this project that is named, by its id or its own address; None where there is none such.

    What a domain leads to is another one tomorrow, so that no domain names a deployment. Raises
    ``deployment_missing``, ``deployment_unusable``.
    """
    reference = reference_of(name)
    found = vercel.deployment(reference) if reference else None
    if not reference:
        raise _missing(vercel, name, "that is neither the id of a deployment nor an address")
    if found is None or not found.id:
        return None
    check_own(vercel, name, found)
    if found.project_id and found.project_id != project.id:
        raise RunbookError(
            code="deployment_unusable",
            attempted=f"use {found.name}",
            object=vercel.place,
            reason="it belongs to another project",
            remedy="Name a deployment of this project, or the project that it belongs to.",
        )
    return found


def check_own(vercel: Vercel, name: str, found: Deployment) -> None:
    """Raise ``deployment_missing`` where ``name`` is an address that leads to ``found`` today, and is not its own."""
    reference = reference_of(name)
    if reference and _host(reference) not in (found.id.lower(), _host(found.url)):
        raise _missing(vercel, name, f"it is no address of one deployment, though it leads to {found.id} now")


def departure(vercel: Vercel, wish: Wish, project: Project) -> str:
    """The id of the deployment that ``from_deployment`` names; '' where none is given.

    An id that production does not serve is taken as it is: it may be gone since. An address has to be a deployment's
    own, since what a domain serves is another one after the work. Raises ``deployment_missing``.
    """
    reference = reference_of(wish.from_id)
    if not wish.from_id or wish.from_id == project.production_id:
        return wish.from_id
    if reference == wish.from_id and "." not in reference:
        return reference
    found = vercel.deployment(reference) if reference else None
    if found is None or not found.id:
        raise _missing(vercel, wish.from_id, "from_deployment has to be one that Vercel knows, and it knows none such")
    check_own(vercel, wish.from_id, found)
    return found.id


def elsewhere(
    vercel: Vercel, wish: Wish, project: Project, intent: Intent | None, moves: Iterable[Intent]
) -> Deployment | None:
    """What a wish comes to whose ``from_deployment`` production does not serve: then nothing may be changed.

    None where it was left for what serves now, as ``moves`` (newest first) or the last job prove; what serves where
    ``to`` means that. Else it was the wrong one to name, which must not look like success. Raises
    ``deployment_missing``, ``deployment_unusable``.
    """
    moves = tuple(moves)
    if left_behind(wish.from_id, wish.kind, project, moves):
        return None
    named = vercel.deployment(wish.from_id)
    if named is None:
        raise _missing(vercel, wish.from_id, "from_deployment has to be one that Vercel knows, and it knows none such")
    if project.production_id:
        try:
            target = resolve(vercel, wish, project, wish.from_id, intent, moves)
        except RunbookError as error:
            if error.code not in ("deployment_missing", "release_missing"):
                raise
        else:
            if target.id == project.production_id:
                return target
    raise not_serving(wish, project)


def _previous(vercel: Vercel, wish: Wish, project: Project, left: str, away: Mapping[str, Intent]) -> str:
    leaving = vercel.deployment(left) if left else None
    if leaving is None:
        raise _missing(vercel, PREVIOUS, "no deployment serves production, so that nothing served before it")
    found = previous(leaving, project, vercel.candidates(project), {**wish.barred, **dict.fromkeys(away, "")})
    if not found:
        raise _missing(vercel, PREVIOUS, f"nothing that served before {left} can be rolled back to")
    return found


def _by_commit(vercel: Vercel, wish: Wish, project: Project) -> str:
    """The newest production deployment of a commit that is ready."""
    if not is_sha(wish.to):
        return ""
    for each in islice(vercel.deployments(project, target="production"), _FAR):
        if each.sha.startswith(wish.to) and each.state == "READY" and not each.gone:
            return each.id
    return ""


def _with_candidate(vercel: Vercel, project: Project, found: Deployment) -> Deployment:
    """A deployment by itself may come without the mark that lists have; then the list is asked."""
    until = str(found.created_at + 1)
    for each in vercel.deployments(project, target="production", until=until):
        if each.id == found.id:
            return each
        if each.created_at < found.created_at:
            break
    return found


def _host(address: str) -> str:
    return address.partition(":")[0].lower()


def not_serving(wish: Wish, project: Project) -> RunbookError:
    """The failure for a ``from_deployment`` that was not left, and does not serve."""
    now = project.production_id or "nothing"
    return RunbookError(
        code="deployment_unusable",
        attempted=f"leave {wish.from_id}",
        object=project.name,
        reason=f"production does not serve it but {now}, and nothing on record has left it for that",
        remedy=f"Look at what serves, and give from_deployment={now} to leave that, or leave from_deployment out.",
    )


def _missing(vercel: Vercel, what: str, reason: str) -> RunbookError:
    return RunbookError(
        code="deployment_missing",
        attempted="find the deployment",
        object=f"{what} in {vercel.place}",
        reason=reason,
        remedy="Name a deployment that vercel_info lists, by its id (dpl_...) or address, or the whole id of a commit.",
    )
