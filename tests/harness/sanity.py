# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``ansible-test sanity`` with every test that it has and no ignore file, on both supported ends of ansible-core."""

from __future__ import annotations

import sys

from harness.ansible_test import ansible_test, staged, toolchains


def main() -> int:
    """Run sanity; further arguments go to ansible-test, such as ``--test validate-modules``."""
    failures = 0
    for chain in toolchains():
        with staged() as root:
            if list(root.glob("tests/sanity/ignore*")):
                raise SystemExit("tests/sanity/ignore files are not accepted")
            arguments = ["sanity", "--local", "--python", chain.version, "--color", "no", *sys.argv[1:]]
            failures += ansible_test(chain, root, arguments) != 0
    return min(failures, 1)


if __name__ == "__main__":
    raise SystemExit(main())
