# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``ansible-test sanity`` with every test that it has and no ignore file, on both supported ends of ansible-core.

The newest looks at the whole project. The oldest looks at what users install: it has nothing to say of our tests, which
run on it (``tests/run/floor``, ``tests/run/integration``) and are linted once. So is all that asks nothing of ansible.
"""

from __future__ import annotations

import sys

from harness.ansible_test import ToolChain, ansible_test, installed, on_each, staged

#: They read text: pylint, by the same rules on both ends, pycodestyle and yamllint. The newest has the newer ones.
READERS = ("pylint", "pep8", "yamllint")


def main() -> int:
    """Run sanity; further arguments go to ansible-test, such as ``--test validate-modules``."""
    return on_each(check)


def check(chain: ToolChain) -> int:
    """Run it with one ansible-core."""
    with staged() if chain.newest else installed(chain) as root:
        if list(root.glob("tests/sanity/ignore*")):
            raise SystemExit("tests/sanity/ignore files are not accepted")
        arguments = ["sanity", "--local", "--python", chain.version, "--color", "no", *sys.argv[1:]]
        if not chain.newest and not sys.argv[1:]:
            arguments += [word for name in READERS for word in ("--skip-test", name)]
        return ansible_test(chain, root, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
