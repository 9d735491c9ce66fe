# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Is a restored database the one that was backed up? Two answers that do not trust pg_dump:

``nasty.sql`` (with ``nasty/``)  a database made of everything that is easy to lose
``compare.py``                   two databases, object by object and row by row: a list of differences
``catalogs.py``                  what "object by object" means: each system catalog, column by column
``rows.py``                      what "row by row" means: rows, sequences, large objects
"""
