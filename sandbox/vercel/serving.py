# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a deployment answers: by its files and functions, or as it was told to behave."""

from __future__ import annotations

from sandbox.vercel import hosting, output
from sandbox.vercel.hosting import Answer, Visit
from sandbox.vercel.model import Deployment
from sandbox.vercel.shared import Shared


def serve(shared: Shared, deployment: Deployment, visit: Visit, *, port: int) -> Answer:
    """The answer to a visitor."""
    if not deployment.files:
        return hosting.behave(deployment, visit)
    root = shared.files.tree(deployment.id, deployment.files)
    found = output.find(root, visit.target, visit.method)
    if found.function is not None:
        # A function sees the address that the visitor asked for, not the one that the routes made of it.
        host = f"{deployment.url}:{port}" if deployment.url.endswith(".localhost") else deployment.url
        answer = shared.functions.ask(deployment, found.function, visit, host=host)
        return Answer(
            status=found.status or answer.status, headers={**found.headers, **answer.headers}, body=answer.body
        )
    if found.file is not None:
        headers = {"Content-Type": output.content_type(found.file), **found.headers}
        return Answer(status=found.status or 200, headers=headers, body=found.file.read_bytes())
    if found.status == 404:
        return hosting.trouble(404, "NOT_FOUND", "The page could not be found")
    return Answer(status=found.status or 404, headers=found.headers)
