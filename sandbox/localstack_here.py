# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LocalStack with its files in the sandbox's directory; run by the Python of ``.venv-s3``.

Its S3 service keeps parts of uploads below a fixed name in the machine's temporary directory, whatever ``TMPDIR`` says.
Sandboxes would then remove each other's, and those of a second user could not even begin.
"""

from __future__ import annotations

import os
from importlib import import_module

provider = import_module("localstack.services.s3.provider")
provider.__dict__["DEFAULT_S3_TMP_DIR"] = os.path.join(os.environ["TMPDIR"], "s3")
import_module("localstack.runtime.main").main()
