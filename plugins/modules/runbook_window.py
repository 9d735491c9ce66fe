#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runbook_window
short_description: Say whether work may begin now
version_added: 1.0.0
description:
  - Compares a time, and the time that the work takes, with windows in which work is allowed and freezes in which it is
    not. Work has to begin and end inside one stretch of open time.
  - The answer is a decision, V(open), V(closed) or V(frozen), and never a failure. Where a calendar of freezes cannot
    be read, or not as a whole, the decision is V(closed), since nobody knows what it forbids.
  - With neither O(windows) nor O(freezes) every time is open.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes
  - ops.runbooks._store.s3
options:
  windows:
    description:
      - When work is allowed. Windows that overlap or touch are one. Without any, always.
    type: list
    elements: dict
    default: []
    suboptions:
      rrule:
        description:
          - When it opens, as a rule of RFC 5545, such as V(FREQ=WEEKLY;BYDAY=MO,TU,WE,TH;BYHOUR=9). The times in it
            are those of the clock on the wall in O(windows[].timezone); where it says no hour, midnight.
          - A time that a change of clocks leaves out counts by the offset before the change; of one that comes twice
            the first counts.
        type: str
        required: true
      duration:
        description:
          - How long it stays open, as a duration such as V(7h), at most V(366d). It may go on past midnight. It is
            time that passes, so that a change of clocks makes it neither longer nor shorter.
        type: str
        required: true
      timezone:
        description:
          - The time zone, by its IANA name such as V(Europe/Berlin).
        type: str
        default: UTC
      start:
        description:
          - The local time from which the rule counts. Needed only where the rule has an C(INTERVAL), or does not say on
            which day.
        type: str
  freezes:
    description:
      - When work is not allowed, whatever the windows say. Each is a calendar (O(freezes[].ics)), or it has a
        O(freezes[].start) and an O(freezes[].end).
    type: list
    elements: dict
    default: []
    suboptions:
      ics:
        description:
          - An iCalendar. An absolute path on the machine that runs the module, an V(https://) or V(webcal://) address,
            or the calendar itself. Every event in it that is not cancelled is a freeze, with what recurs and what is
            excepted.
          - Of an address only the host appears in output, since it is often the only secret of a calendar.
        type: str
      start:
        description:
          - When it begins, as a day such as V(2026-12-24) or a time.
        type: str
      end:
        description:
          - When it ends. A day is a part of the freeze.
        type: str
      reason:
        description:
          - What it is called. The default is V(A freeze); events of a calendar have their summaries.
        type: str
      timezone:
        description:
          - The time zone of days and times that have none. The default is that of the calendar, else V(UTC).
        type: str
  at:
    description:
      - The time to judge, in ISO 8601 with a zone. The default is now.
    type: str
  duration:
    description:
      - How long the work takes, as a duration.
    type: str
    default: 0s
  exempt:
    description:
      - Whether this work may always begin, as a rollback may. Then nothing is read.
    type: bool
    default: false
  break_glass:
    description:
      - The reason to go on where the answer would be no. The decision is then V(open), with a warning.
      - With O(store) the reason is written down as a record of this run first, once per run. Nothing else is ever
        changed by this module.
    type: str
  timeout:
    description:
      - How long a calendar on the web is waited for, as a duration.
    type: str
    default: 30s
  store:
    description:
      - Where the reason of O(break_glass) is written down, as in M(ops.runbooks.runbook_record).
    type: str
  state_store:
    description:
      - Where run records are kept, if not in O(store).
    type: str
  environment:
    description:
      - The environment, such as V(production). Needed with O(store).
    type: str
  name:
    description:
      - The name of what is worked on. Needed with O(store).
    type: str
  store_encryption:
    description:
      - How the S3 store encrypts what is written to it. V(none) leaves it to the bucket's default.
    type: str
    choices: [none, sse-s3, sse-kms]
    default: none
  store_kms_key_id:
    description:
      - The key for V(sse-kms).
    type: str
  run_id:
    description:
      - The identity of the run that this task belongs to. Without it the task is a run of its own.
    type: str
requirements:
  - python-dateutil
  - icalendar >= 7.3 and recurring-ical-events >= 3.8 (for calendars)
  - requests (for calendars on the web)
seealso:
  - module: ops.runbooks.github_checks_info
  - module: ops.runbooks.release_approval
"""

EXAMPLES = r"""
- name: May a deploy of half an hour begin?
  ops.runbooks.runbook_window:
    windows:
      - rrule: FREQ=WEEKLY;BYDAY=MO,TU,WE,TH;BYHOUR=9
        duration: 7h
        timezone: Europe/Berlin
    freezes:
      - ics: "{{ lookup('ansible.builtin.env', 'FREEZE_CALENDAR') }}"
      - start: "2026-12-18"
        end: "2027-01-03"
        reason: The Christmas freeze
    duration: 30m
  register: now

- name: Go on in a freeze, for a reason that is written down
  ops.runbooks.runbook_window:
    freezes: "{{ runbooks_freezes }}"
    break_glass: nobody can pay since 02:40
    store: s3://acme-runbooks-production
    environment: production
    name: web
"""

RETURN = r"""
window:
  description: The answer.
  returned: success
  type: dict
  contains:
    decision:
      description: V(open), V(closed) or V(frozen).
      type: str
    judged:
      description: The same without O(break_glass).
      type: str
    reason:
      description: Why, in a sentence.
      type: str
    closes_at:
      description: Until when it is open; null where it is not, or for longer than a year.
      type: str
    next_opening:
      description: >-
        When work of this duration may begin; null where it may now, where that is more than a year away, or where
        nobody knows because a calendar cannot be read.
      type: str
    break_glass:
      description: The reason to go on all the same; null where it was not needed.
      type: str
plan:
  description:
    - What is done, or would be in check mode, as V(steps), and what of it cannot be taken back, as V(irreversible).
  returned: where it was decided
  type: dict
run_id:
  description: The run that this task belonged to.
  returned: always
  type: str
failure:
  description: Why the task failed, with V(code), V(attempted), V(object) and V(remedy).
  returned: failure
  type: dict
"""

from ansible_collections.ops.runbooks.plugins.module_utils._core.runner import run
from ansible_collections.ops.runbooks.plugins.module_utils._window.window import RunbookWindow


def main() -> None:
    """Run the module."""
    run(RunbookWindow)


if __name__ == "__main__":
    main()
