# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make demo``: the main jobs on real servers, from a live database to a proven restore, and releases of an app on it.

Three acts on one stage: a database is lost and comes back, the app on it gets a good release and a bad one, and its
password is replaced while users ask it. Each step is the real runbook, run as a user runs it. What was proven is
printed at the end; what proves it stays in the evidence directory.
"""
