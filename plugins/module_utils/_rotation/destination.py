# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where values of secrets go (private to ops.runbooks): one interface, and a table of its kinds.

A destination says how it looks now, and is written as a whole. Both may be done as often as one likes: writing what is
there already changes nothing. A text that is empty means that nothing is to be there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Target
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.destination_aws_parameter import (
    AwsParameterDestination,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.destination_aws_secret import AwsSecretDestination
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.destination_awx import AwxDestination
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.destination_file import FileDestination
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.destination_github import GithubDestination
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.destination_plugin import OwnDestination
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.destination_vercel import VercelDestination
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import Sight
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context


#: What destinations of one service share, by what it is about.
Looks: TypeAlias = dict[tuple[str, ...], Any]


class Destination(Protocol):
    """One place that holds a text."""

    def observe(self) -> Sight:
        """How it looks; its mark is another one whenever its content may be."""

    def read(self) -> str | None:
        """The text in it; None where it cannot be read back."""

    def write(self, text: str) -> Sight:
        """Let it hold the text and nothing else, or nothing where the text is empty; and how it looks then."""


@runtime_checkable
class Marked(Protocol):
    """One that takes a text to be there by a mark beside it, which stays where somebody else changes the text."""

    def write_again(self, text: str) -> Sight:
        """The same as ``write`` where what is there is not what the mark says."""


#: Kind to its class, and to the options that it needs. Another one is added here, and to the choices in ``options.py``.
DESTINATIONS: Mapping[str, Callable[[Target, Keys, Context, Looks], Destination]] = {
    "aws_parameter": AwsParameterDestination,
    "aws_secret": AwsSecretDestination,
    "awx_credential": AwxDestination,
    "file": FileDestination,
    "github_secret": GithubDestination,
    "plugin": OwnDestination,
    "vercel_env": VercelDestination,
}
NEEDED: Mapping[str, tuple[str, ...]] = {
    "aws_parameter": ("parameter",),
    "aws_secret": ("secret",),
    "awx_credential": ("credential",),
    "file": ("path",),
    "github_secret": ("secret",),
    "plugin": ("plugin",),
    "vercel_env": ("project", "variable"),
}


def open_destinations(
    targets: tuple[Target, ...], keys: Keys, context: Context, looks: Looks | None = None
) -> dict[str, Destination]:
    """Each declared destination by its name. Connects to nothing yet.

    ``looks`` is what they may share of what one question to a service has answered; to be emptied before another look.
    """
    shared: Looks = {} if looks is None else looks
    return {each.name: DESTINATIONS[each.kind](each, keys, context, shared) for each in targets}
