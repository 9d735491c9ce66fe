# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that knows PostgreSQL (private to ops.runbooks).

A folder for each operation; the files beside the folders are what several of them share: the connection, the
catalogue, the backups in the store, the archive format and the command line tools.
"""

from __future__ import annotations
