# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of modules that make requests of their own, in step with ``ASKING_SPEC`` of ``_probe/probe.py``."""

from __future__ import annotations


class ModuleDocFragment:
    """C(ops.runbooks._probe)."""

    DOCUMENTATION = r"""
options:
  probes:
    description:
      - What is asked, and what is expected of each answer. A request is an error where anything is not as expected.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - A name for results. The default is host and path.
        type: str
      url:
        description:
          - The address, V(https://...) or V(http://...). It is called directly, whatever proxy the environment names.
        type: str
        required: true
      method:
        description:
          - The method.
        type: str
        choices: [GET, HEAD, POST]
        default: GET
      headers:
        description:
          - Headers to send.
        type: dict
        default: {}
      secret_headers:
        description:
          - Headers to send whose values are secret, such as C(Authorization). They are not sent over plain http to
            other machines, and not to another host that a redirect leads to.
        type: dict
        default: {}
      body:
        description:
          - A body to send.
        type: str
      status:
        description:
          - The status codes that are expected. For a negative probe, the refusal, such as V([401, 403]).
        type: list
        elements: int
        default: [200]
      contains:
        description:
          - Texts that the body must have, in its first MiB.
        type: list
        elements: str
        default: []
      lacks:
        description:
          - Texts that the body must not have, such as V(Internal Server Error).
        type: list
        elements: str
        default: []
      json:
        description:
          - Places in the body, such as V(status) or V(checks[0].ok), and what must stand there.
        type: dict
        default: {}
      expect_headers:
        description:
          - Headers that the answer must have, and the regular expression that each must match somewhere.
        type: dict
        default: {}
      max_latency:
        description:
          - How long an answer may take to its last byte, as V(800ms) or a duration.
        type: str
      tls_min_days:
        description:
          - How many days the certificate must still be valid.
        type: int
      unreachable:
        description:
          - Whether it is expected that nothing answers there at all.
        type: bool
        default: false
      redirects:
        description:
          - How many redirects are followed, at most 10. Without it a redirect is an answer like any other.
        type: int
        default: 0
      samples:
        description:
          - How often this one is asked, if not as often as the others.
        type: int
  interval:
    description:
      - Seconds between two requests of the same worker.
    type: float
    default: 0.0
  timeout:
    description:
      - How long one answer may take, redirects included, as a duration. It ends there, however slowly bytes still come.
    type: str
    default: 10s
  deadline:
    description:
      - How long all requests may take together, as a duration. What was not asked by then proves nothing.
    type: str
    default: 2m
  workers:
    description:
      - How many requests are made at once, at most 64. Each worker keeps its connection.
    type: int
    default: 4
  tls_ca:
    description:
      - A file with the certificates of the authorities to trust. The default is the system's.
    type: path
"""
