# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to a service that a user declares, in step with ``options.py`` of ``_rotation``; a part of ``_rotation``."""

from __future__ import annotations

from textwrap import indent

_REQUEST = r"""
method:
  description:
    - The method.
  type: str
  choices: [GET, POST, PUT, PATCH, DELETE]
  required: true
path:
  description:
    - The path below C(url), from C(/) on. C({id}) in it is the id of the credential, percent-encoded. Values of secrets
      never stand in an address.
  type: str
  required: true
headers:
  description:
    - Headers of this request, beside those of all.
  type: dict
  default: {}
body:
  description:
    - What is sent, as JSON. C({id}) in its texts is the id of the credential.
  type: dict
statuses:
  description:
    - The answers that mean that it was done.
  type: list
  elements: int
  default: [200, 201, 202, 204]
gone:
  description:
    - The answers that mean that the credential is not there any more, such as V(404), which count as done. Needed for
      C(delete) where there is no C(list).
  type: list
  elements: int
  default: []
"""
_CREATE = r"""
id:
  description:
    - Where in the answer the id of the credential is, by a path such as V(key.id). It is written down and shown, and so
      may not be the value.
  type: str
  required: true
parts:
  description:
    - What a value is made of. The name of each part with where in the answer it is, such as V({"value":"key.secret"}).
  type: dict
  required: true
"""
_LIST = r"""
id:
  description:
    - Where in an item its id is, the same as C(create) gives. A new credential that is not in the list is given to
      nobody.
  type: str
  required: true
name:
  description:
    - Where in an item its name is. Only what has a name that begins with C(key_name) and a dot is looked at.
  type: str
  required: true
items:
  description:
    - Where in the answer the list is; empty where the answer is the list.
  type: str
  default: ""
more:
  description:
    - Where in the answer it says that there are more pages. The list has to be whole, or the run fails.
  type: str
"""


def _request(name: str, what: str, more: str = "") -> str:
    """One request as a suboption."""
    said = f"{name}:\n  description:\n    - {what}\n  type: dict\n  suboptions:"
    return said + indent(_REQUEST + more.lstrip("\n"), "    ")


#: The suboptions of ``requests``.
REQUESTS = (
    _request("create", "Makes a credential. C({name}) in its body is the name that it gets.", _CREATE)
    + _request(
        "list",
        "Lists the credentials. Without it nobody can tell whether a run that was killed has left one at the service.",
        _LIST,
    )
    + _request(
        "test",
        "Tries a new value, with C({value}) or another part in a header or in its body, and without"
        "\n      C(secret_headers).",
    )
    + _request("disable", "Takes an earlier value out of use, so that C(enable) brings it back.")
    + _request("enable", "Brings one back. Needed with C(disable).")
    + _request(
        "delete", "Removes one for good. Without C(disable) it works until then, and without this it stays disabled."
    )
)
