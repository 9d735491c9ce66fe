# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Providers and destinations that a user's organisation adds (private to ops.runbooks): found, held to their promises.

Such a class knows nothing of this collection: it takes and gives plain texts, and a :class:`Run` for what it needs
beside. What ansible sends to a module is what the module imports by name, so that a class which is known by a text
alone is found where the module runs: among the packages of its Python, or in a collection that is installed there.

Nothing that such a class raises, prints or gives in a wrong form reaches anybody but as a sentence about the class: of
its own words only those leave that it has asked to (``run.failure``), and all that is a value is known to be secret as
soon as it is known at all.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: The interface that classes say they have; another one gets another number.
INTERFACE = 1
_COLLECTIONS = "ansible_collections"


class Failure(Exception):
    """What ``run.failure`` gives: a reason and a remedy for people."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


class Run:
    """What a class of one's own has at hand. Its methods and attributes are part of the interface."""

    def __init__(self, context: Context, fingerprint: Callable[[str], str] | None) -> None:
        self._context = context
        self._fingerprint = fingerprint
        #: Whether nothing may be changed.
        self.check_mode = context.check_mode

    def protect(self, text: str) -> None:
        """Let a text never be shown. To be called before anything else is done with it."""
        self._context.redactor.protect(text)

    def effect(self, what: str) -> None:
        """To be called directly before each change of the outside world; ends the run where it may not go on."""
        self._context.effect(what)

    def warn(self, text: str) -> None:
        """A sentence for the user that is no failure."""
        self._context.warn(text)

    def fingerprint(self, text: str) -> str:
        """A text that tells a value from another one and gives nothing away: fit for the mark of a destination."""
        if self._fingerprint is None:
            raise self.failure("fingerprints are for destinations", "Give what you have made an id of its own.")
        return self._fingerprint(text)

    def failure(self, reason: str, remedy: str) -> Failure:
        """What is raised where something has gone wrong that a person can act upon. A clause, and a sentence."""
        return Failure(reason, remedy)


class Held:
    """A class of one's own, made and held to its promises. ``what`` is ``provider x`` or ``destination x``."""

    def __init__(
        self,
        what: str,
        options: Mapping[str, Any],
        context: Context,
        needed: Sequence[str],
        fingerprint: Callable[[str], str] | None = None,
    ) -> None:
        self._what = what
        self._name = str(options.get("plugin") or "")
        self._redactor = context.redactor
        given, hidden = dict(options.get("options") or {}), dict(options.get("secret_options") or {})
        for text in _texts(hidden):
            self._redactor.protect(text)
        if twice := sorted(set(given) & set(hidden)):
            raise self._unusable(f"{twice[0]} is among options and secret_options", "Give it once.")
        kind = self._load()
        self._check(kind, needed)
        self.made = self._guarded("__init__", lambda: kind({**given, **hidden}, Run(context, fingerprint)))

    def has(self, method: str) -> bool:
        """Whether the class has a method that it may leave out."""
        return callable(getattr(self.made, method, None))

    def call(self, method: str, *arguments: Any) -> Any:
        """What a method gives. Raises ``plugin_failed``."""
        return self._guarded(method, lambda: getattr(self.made, method)(*arguments))

    def text(self, method: str, *arguments: Any) -> str:
        """The text that a method gives, which is '' for none."""
        found = self.call(method, *arguments)
        if not isinstance(found, str):
            raise self.wrong(method, f"a text, '' for none, not {_kind(found)}")
        return found

    def wrong(self, method: str, promised: str) -> RunbookError:
        """The failure for what is not as promised; ``promised`` completes "it has to give"."""
        return self._failed(method, f"it has to give {promised}", "Correct the class; see docs/own-providers.md.")

    def _guarded(self, method: str, call: Callable[[], Any]) -> Any:
        try:
            with redirect_stdout(io.StringIO()):
                return call()
        except RunbookError:
            raise
        except Failure as failure:
            raise self._failed(method, failure.reason, failure.remedy) from None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is said
            reason = f"an unexpected {type(error).__name__} was raised{_place(error)}"
            raise self._failed(method, reason, "Correct the class; its own words are not shown.") from None

    def _load(self) -> type:
        module, colon, name = self._name.partition(":")
        if not colon or not all(part.isidentifier() for part in (*module.split("."), name)):
            reason = "it is not the name of a module and of a class in it"
            raise self._unusable(reason, "Write it like acme_secrets.hsm:HsmProvider.")
        try:
            with redirect_stdout(io.StringIO()):
                found = getattr(import_module(module), name, None)
        except ModuleNotFoundError as error:
            raise self._unfound(module, str(error.name or "")) from None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is said
            reason = f"its module cannot be imported: {type(error).__name__}{_place(error)}"
            raise self._unusable(reason, "Correct the module; its own words are not shown.") from None
        if not isinstance(found, type):
            raise self._unusable(f"the module {module} has no class {name}", "Correct the name.")
        return found

    def _unfound(self, module: str, missing: str) -> RunbookError:
        """A module that is not there, be it the one that is named or one that it needs."""
        if missing and not f"{module}.".startswith(f"{missing}."):
            reason = f"its module needs {missing}, which is not installed for {sys.executable}"
            return self._unusable(reason, "Install it there.")
        where = f"among the packages of {sys.executable}"
        remedy = "Install the package there, or correct the name."
        if module.startswith(f"{_COLLECTIONS}."):
            collection = ".".join(module.split(".")[1:3])
            where = "where collections are looked for (plugin_paths)"
            remedy = f"Install the collection {collection} where the module runs, or correct the name."
        return self._unusable(f"there is no module {missing or module} {where}", remedy)

    def _check(self, kind: type, needed: Sequence[str]) -> None:
        interface = getattr(kind, "interface", None)
        if interface != INTERFACE:
            reason = f"it says interface = {interface!r}, and this release knows {INTERFACE}"
            raise self._unusable(reason, "See docs/own-providers.md for what that has, and say so in the class.")
        if lacking := [method for method in needed if not callable(getattr(kind, method, None))]:
            raise self._unusable(f"it has no method {', '.join(lacking)}", "Write it; see docs/own-providers.md.")

    def _unusable(self, reason: str, remedy: str) -> RunbookError:
        return RunbookError(
            code="plugin_unusable",
            attempted=f"use {self._what}",
            object=self._name or "plugin",
            reason=reason,
            remedy=remedy,
        )

    def _failed(self, method: str, reason: str, remedy: str) -> RunbookError:
        return RunbookError(
            code="plugin_failed",
            attempted=f"call {method} of {self._what}",
            object=self._name,
            reason=reason,
            remedy=remedy,
        )


def find_collections(paths: Sequence[str]) -> None:
    """Let modules of collections be imported from where ansible looks for collections.

    What ansible sends along is a package ``ansible_collections`` of its own, in which there is this collection alone.
    """
    roots = dict.fromkeys(str(Path(each).expanduser()) for each in paths)
    sys.path += [each for each in roots if each not in sys.path]
    package = sys.modules.get(_COLLECTIONS)
    known = getattr(package, "__path__", None)
    if isinstance(known, list):
        inner = [Path(each) / _COLLECTIONS for each in dict.fromkeys(sys.path)]
        known += [str(each) for each in inner if each.is_dir() and str(each) not in known]


def _place(error: BaseException) -> str:
    """Where in the class, for whoever has to correct it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_code.co_filename == __file__:
        return ""
    return f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) else []
