# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Encryption to age recipients (private to ops.runbooks): whoever encrypts cannot read what was encrypted.

What comes out is the age format, version 1 (https://age-encryption.org/v1), which ``age --decrypt`` reads. Encrypting
is pyrage's, the bindings of the Rust implementation: a mistake in it would be found when all is lost. Reading is our
own (``age_reader``), since pyrage only reads from the first byte to the last and a restore reads many parts at once; a
mistake there shows as a failure, and ``age`` still reads what was written.
"""

from __future__ import annotations

import io
import queue
import re
import threading
from collections.abc import Callable, Iterable
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ansible_collections.ops.runbooks.plugins.module_utils._core.age_identity import Identities, is_whole
from ansible_collections.ops.runbooks.plugins.module_utils._core.age_reader import Header, Payload, read_header
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Source

#: The kinds of recipients, by what their text begins with, and the module of pyrage that knows them.
_KINDS = {"age1": "x25519", "ssh-ed25519": "ssh", "ssh-rsa": "ssh"}
#: One of another kind, that a plugin or a newer age reads: its name stands between the two marks.
_OTHER_KIND = re.compile(r"(age1[0-9a-z+._-]+)1([0-9a-z]+)")
#: More would not fit into the largest header that is read.
_MOST = 1000
#: A recipient of age's own that is public whatever is wrong with it.
_PUBLIC = re.compile(r"age1[0-9a-z]+")
#: Bytes taken from a source at once, of which pyrage then asks for a few thousand at a time.
_PIECE = 256 * 1024
#: Pieces of ciphertext that wait to be fetched, of 64 KiB each.
_WAITING = 16
#: So many bytes, and the piece that reaches them, have the header in them.
_BEGINNING = 256 * 1024
#: Seconds between two looks at whether anybody still fetches.
_LOOK = 0.1


def recipients(texts: Iterable[str], option: str = "age_recipients") -> tuple[str, ...]:
    """Recipients as they are kept: each once, sorted, without comments. Raises ``invalid_parameter``.

    A key that pyrage does not take is refused by :func:`encrypt` and :class:`Encrypting` at the latest.
    """
    found = set()
    for number, line in enumerate((line for text in texts for line in _lines(text)), start=1):
        words = line.split()
        kind = next((kind for kind in _KINDS if words and words[0].startswith(kind)), None)
        if kind is None or (kind == "age1") != (len(words) == 1):
            reason = "it is neither age1... nor ssh-ed25519 ... nor ssh-rsa ..."
            raise _bad_recipient(f"{option}, entry {number}", reason)
        if (other := _OTHER_KIND.fullmatch(words[0])) and is_whole(*other.groups()):
            raise _not_supported(f"{option}, entry {number}", other[1])
        found.add(" ".join(words[:2]))
    if len(found) > _MOST:
        raise _bad_recipient(option, f"it names {len(found)}, and at most {_MOST} can be")
    return tuple(sorted(found))


def _lines(text: str) -> list[str]:
    """A file of public keys, looked up whole, is one text of several lines; one without any is a line that is empty."""
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")] or [""]


def short(recipient: str) -> str:
    """A recipient as people recognise it in a sentence."""
    return recipient if len(recipient) <= 24 else f"{recipient[:12]}...{recipient[-6:]}"


def require(wanted: Iterable[str]) -> None:
    """Raises ``library_missing`` without pyrage, ``invalid_parameter`` for recipients that it does not take."""
    try:
        _encrypt(b"", wanted)
    except RunbookError as error:
        if error.code != "encryption_failed":
            raise
        # It panics over keys that nobody can have made.
        raise _bad_recipient("age_recipients", "one of them is no key that anything can be encrypted to") from error


def encrypt(body: bytes, to: Iterable[str]) -> bytes:
    """A small thing whole. Raises as :func:`require`, and ``encryption_failed``."""
    to = tuple(to)
    try:
        return _encrypt(body, to)
    except RunbookError as error:
        if error.code == "encryption_failed":
            require(to)
        raise


def _encrypt(body: bytes, to: Iterable[str]) -> bytes:
    loaded = _loaded(to)
    try:
        return bytes(import_module("pyrage").encrypt(body, loaded))
    except (KeyboardInterrupt, SystemExit, RunbookError):
        raise
    except BaseException as error:
        raise _gave_up(error) from error


def _gave_up(error: BaseException) -> RunbookError:
    """pyrage has failed; a panic of what it is written in is no Exception, and its words may hold anything."""
    return RunbookError(
        code="encryption_failed",
        attempted="encrypt with age",
        object="pyrage",
        reason=f"this Python library gave up ({type(error).__name__})",
        remedy="Nothing that it had begun counts. Run the same command again; where that fails too, install another "
        "release of it (python3 -m pip install --upgrade pyrage), and report this line.",
    )


def decrypt(body: bytes, identities: Identities, name: str) -> bytes:
    """What :func:`encrypt` or any other age made of a small thing; ``name`` is the object's, for messages.

    Raises ``age_identity_wrong`` and, where it is damaged or cut off, ``object_corrupt``.
    """
    stream = io.BytesIO(body)
    header = read_header(stream, name)
    return b"".join(Payload.of(header, identities, name, stored=len(body)).pieces(stream))


class Encrypting:
    """The ciphertext of a source, itself a source; a context manager.

    pyrage reads and writes by itself, so it does that in a thread. ``end`` ends the source: it is called where the
    block is left before all was fetched, since that thread may be waiting for more.
    """

    def __init__(self, source: Source, to: Iterable[str], end: Callable[[], None]) -> None:
        """Raises as :func:`require`."""
        self._reading = _Reading(source)
        self._beginning = b""
        self._to = _loaded(to)
        self._end = end
        self._pieces: queue.Queue[bytes | None] = queue.Queue(_WAITING)
        self._rest = memoryview(b"")
        self._over = False
        self._unwanted = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="age", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._over:
            self._unwanted.set()
            self._end()
        self._thread.join()

    def readinto(self, buffer: memoryview, /) -> int:
        """See ``store.Source``. Raises what the source raised, and ``encryption_failed``."""
        while not self._rest and not self._over:
            piece = self._pieces.get()
            if piece is None:
                self._over = True
                if self._error is not None:
                    raise self._error
            else:
                self._rest = memoryview(piece)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    @property
    def plain_bytes(self) -> int:
        """How many bytes of the source were encrypted."""
        return self._reading.bytes

    def header(self) -> Header:
        """The header of what was fetched, without which nobody reads it."""
        return read_header(io.BytesIO(self._beginning), "what was encrypted")

    def write(self, piece: bytes) -> int:
        """For pyrage: wait until there is room."""
        if len(self._beginning) < _BEGINNING:
            self._beginning += piece
        self._put(piece)
        return len(piece)

    def flush(self) -> None:
        """For pyrage: everything that was written can be fetched."""

    def _work(self) -> None:
        try:
            import_module("pyrage").encrypt_io(self._reading, self, self._to)
        except BaseException as error:  # noqa: BLE001 - whoever fetches raises it; a panic of pyrage is no Exception
            # pyrage tells of a failed source in words of its own.
            self._error = self._reading.error or _gave_up(error)
        finally:
            self._put(None)

    def _put(self, piece: bytes | None) -> None:
        while not self._unwanted.is_set():
            try:
                self._pieces.put(piece, timeout=_LOOK)
            except queue.Full:
                continue
            return
        if piece is not None:
            raise BrokenPipeError("nobody fetches the rest")


class _Reading:
    """A source as a file that pyrage reads."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._buffer = memoryview(bytearray(_PIECE))
        self._rest = self._buffer[:0]
        self.error: BaseException | None = None
        self.bytes = 0

    def read(self, size: int) -> bytes:
        if not self._rest:
            try:
                self._rest = self._buffer[: self._source.readinto(self._buffer) or 0]
            except BaseException as error:
                self.error = error
                raise
        piece = bytes(self._rest[:size])
        self._rest = self._rest[len(piece) :]
        self.bytes += len(piece)
        return piece


def _loaded(texts: Iterable[str]) -> list[Any]:
    try:
        pyrage = import_module("pyrage")
    except ImportError as error:
        raise RunbookError(
            code="library_missing",
            attempted="encrypt with age",
            object="pyrage",
            reason="this Python library is not installed for the interpreter that runs this module",
            remedy="Install it (python3 -m pip install pyrage), or set ansible_python_interpreter to one that has it.",
        ) from error
    found = []
    for number, text in enumerate(recipients(texts), start=1):
        kind = next(module for start, module in _KINDS.items() if text.startswith(start))
        try:
            found.append(getattr(pyrage, kind).Recipient.from_str(text))
        except pyrage.RecipientError as error:
            where = (
                short(text) if _PUBLIC.fullmatch(text) else f"age_recipients, entry {number} in the order of letters"
            )
            raise _bad_recipient(where, "it is not a whole public key") from error
    if not found:
        raise _bad_recipient("age_recipients", "it names nobody who could read what is encrypted")
    return found


def _not_supported(where: str, kind: str) -> RunbookError:
    """For a whole key that another program could encrypt to: nothing here would ever read that."""
    return RunbookError(
        code="invalid_parameter",
        attempted="use a recipient of age",
        object=where,
        reason=f"{kind}1... is a kind of its own, as hardware keys, other plugins and post-quantum keys have, and such "
        "kinds are not supported",
        remedy="Give one that age-keygen prints when it is given no options, or an SSH key of type ed25519 or RSA.",
    )


def _bad_recipient(where: str, reason: str) -> RunbookError:
    """Never with the text: whoever takes an identity, or a file with one, for a recipient must not find it in a log."""
    return RunbookError(
        code="invalid_parameter",
        attempted="use a recipient of age",
        object=where,
        reason=reason,
        remedy="Give public keys: age-keygen prints one, and ssh keys are in files that end in .pub.",
    )
