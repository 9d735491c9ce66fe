# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Encryption with age: what pyrage writes we read, from any byte on, and nothing that was changed passes."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage
import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core import age
from ansible_collections.ops.runbooks.plugins.module_utils._core.age_identity import Identities, identities
from ansible_collections.ops.runbooks.plugins.module_utils._core.age_reader import CHUNK, TAG, Payload, read_header
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import MASK, Redactor
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

SECRET = pyrage.x25519.Identity.generate()
OTHER = pyrage.x25519.Identity.generate()
OWN = identities([str(SECRET)], Redactor())
TO = [str(SECRET.to_public())]
#: Two whole chunks and a short one, in which every place looks different from every other.
BODY = b"".join(number.to_bytes(4, "big") for number in range((2 * CHUNK + 1000) // 4))
SEALED = age.encrypt(BODY, TO)


def failure(call: Callable[[], Any]) -> RunbookError:
    with pytest.raises(RunbookError) as caught:
        call()
    return caught.value


def ssh_key(key: Any, form: serialization.PrivateFormat = serialization.PrivateFormat.OpenSSH) -> tuple[str, str]:
    """Private and public half as ssh-keygen writes them."""
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), public.decode()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 999])
def test_every_length_comes_back(size: int) -> None:
    sealed = age.encrypt(BODY[:size], TO)
    assert age.decrypt(sealed, OWN, "x") == BODY[:size] == pyrage.decrypt(sealed, [SECRET])


@given(st.integers(0, len(BODY) - 1), st.integers(1, len(BODY)))
def test_any_part_is_read_by_itself(start: int, size: int) -> None:
    header = read_header(io.BytesIO(SEALED), "x")
    payload = Payload.of(header, OWN, "x", stored=len(SEALED))
    begin, count = payload.span(start, size)
    got = b"".join(payload.pieces(io.BytesIO(SEALED[begin : begin + count]), start, size))
    assert got == BODY[start : start + size]
    assert count <= min(size, len(BODY)) + 2 * CHUNK + 3 * TAG


def test_each_of_several_recipients_reads_it() -> None:
    ed, rs = ssh_key(ed25519.Ed25519PrivateKey.generate()), ssh_key(rsa.generate_private_key(65537, 2048))
    pem = ssh_key(rsa.generate_private_key(65537, 2048), serialization.PrivateFormat.TraditionalOpenSSL)
    sealed = age.encrypt(b"rows", [*TO, f"{ed[1]} somebody@laptop", rs[1], pem[1]])
    for text in (str(SECRET), ed[0], rs[0], pem[0]):
        assert age.decrypt(sealed, identities([text], Redactor()), "x") == b"rows"
    stranger = identities([str(OTHER), ssh_key(ed25519.Ed25519PrivateKey.generate())[0]], Redactor())
    wrong = failure(lambda: age.decrypt(sealed, stranger, "main/database.dump.age"))
    assert wrong.code == "age_identity_wrong"
    assert wrong.object == "main/database.dump.age"
    assert "X25519, ssh-ed25519, ssh-rsa" in wrong.reason


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_whatever_is_changed_is_noticed(place: int, by: int) -> None:
    changed = SEALED[:place] + bytes((SEALED[place] ^ by,)) + SEALED[place + 1 :]
    assert failure(lambda: age.decrypt(changed, OWN, "x")).code in ("object_corrupt", "age_identity_wrong")


@pytest.mark.parametrize("cut", [1, TAG, 1000 + TAG, 1000 + CHUNK, len(BODY), 10**9])
def test_whatever_is_cut_off_is_noticed(cut: int) -> None:
    assert failure(lambda: age.decrypt(SEALED[: max(len(SEALED) - cut, 10)], OWN, "x")).code == "object_corrupt"


def test_whatever_is_added_or_moved_is_noticed() -> None:
    at = read_header(io.BytesIO(SEALED), "x").size
    first, second = SEALED[at : at + CHUNK + TAG], SEALED[at + CHUNK + TAG : at + 2 * (CHUNK + TAG)]
    rest = SEALED[at + 2 * (CHUNK + TAG) :]
    for body in (first + second + rest + b"x", second + first + rest, first + rest, first + second, b""):
        assert failure(lambda body=body: age.decrypt(SEALED[:at] + body, OWN, "x")).code == "object_corrupt"


def test_a_file_of_another_kind_is_said_to_be_one() -> None:
    assert "does not begin" in failure(lambda: age.decrypt(b"PGDMP" + bytes(100), OWN, "x")).reason


def test_a_header_without_an_end_is_not_read_for_ever() -> None:
    stream = io.BytesIO(b"age-encryption.org/v1\n" + b"x" * 2**20)
    assert "larger" in failure(lambda: read_header(stream, "x")).reason


# recipients


def test_recipients_are_kept_once_and_without_comments() -> None:
    key = ssh_key(ed25519.Ed25519PrivateKey.generate())[1]
    assert age.recipients([f"{key} somebody@laptop", *TO, key]) == tuple(sorted([*TO, key]))


@pytest.mark.parametrize("text", ["", "age1", "age1 abc", "ssh-dss AAAA", "ssh-ed25519", "hello", "one letter short"])
def test_what_is_no_recipient_is_refused(text: str) -> None:
    text = TO[0][:-1] if text == "one letter short" else text
    assert failure(lambda: age.encrypt(b"", [text])).code == "invalid_parameter"


#: Whole recipients of other kinds; the first is the example of age-plugin-yubikey.
OTHER_KINDS = (
    "age1yubikey1q2w7u3vpya839jxxuq8g0sedh3d740d4xvn639sqhr95ejj8vu3hyfumptt",
    "age1se1zry9x8gf2tvdw0s3jn54khce6mua7ljewjms",
    "age1pq1zry9x8gf2tvdw0s3jn54khce6mua7lua2vfk",
    "age1tag1zry9x8gf2tvdw0s3jn54khce6mua7lv3lvgy",
)


@pytest.mark.parametrize("text", OTHER_KINDS)
def test_a_recipient_of_another_kind_is_said_to_be_one(text: str) -> None:
    """Nobody looks for a letter that is missing; of one where a letter is, nobody can tell."""
    error = failure(lambda: age.recipients([*TO, text], "age_recipients"))
    assert (error.code, error.object) == ("invalid_parameter", "age_recipients, entry 2")
    assert f"{text[: text.rindex('1')]}1... is a kind of its own" in error.reason
    assert "not supported" in error.reason
    assert "age-keygen" in error.remedy
    assert "not a whole public key" in failure(lambda: age.require([text[:-1]])).reason


@pytest.mark.parametrize("text", ["AGE-PLUGIN-YUBIKEY-1QQQ", "AGE-SECRET-KEY-PQ-1QQQ"])
def test_an_identity_of_another_kind_is_said_to_be_one(text: str) -> None:
    error = failure(lambda: identities([text], Redactor()))
    assert (error.code, "not supported" in error.reason, text in error.message) == (
        "age_identity_unusable",
        True,
        False,
    )


class Panic(BaseException):
    """As those of pyrage: no Exception."""


def test_a_panic_over_a_small_thing_is_told_as_one_unless_the_keys_are_to_blame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def panics(body: bytes, to: Any) -> bytes:
        if body:
            raise Panic
        return b""

    monkeypatch.setattr(pyrage, "encrypt", panics)
    assert failure(lambda: age.encrypt(b"rows", TO)).code == "encryption_failed"
    monkeypatch.setattr(pyrage, "encrypt", lambda _body, to: panics(b"keys", to))
    assert failure(lambda: age.encrypt(b"rows", TO)).code == "invalid_parameter"


def test_being_told_to_stop_is_no_fault_of_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal is raised wherever the module is."""
    stop = RunbookError(code="run_aborted", attempted="go on", object="SIGTERM", reason="it was told to", remedy="")

    def told(body: bytes, to: Any) -> bytes:
        raise stop

    monkeypatch.setattr(pyrage, "encrypt", told)
    assert failure(lambda: age.require(TO)) is stop


def test_nobody_is_no_recipient() -> None:
    assert "nobody" in failure(lambda: age.require([])).reason


@pytest.mark.parametrize(
    "form", ["{}", " {}", "# created: today\n# public key: age1abc\n{}\n", "age1abc {}", "ssh-rsa {}"]
)
def test_an_identity_among_recipients_is_not_shown(form: str) -> None:
    error = failure(lambda: age.require([form.format(SECRET)]))
    assert error.code == "invalid_parameter"
    assert str(SECRET)[15:] not in error.message


def test_without_pyrage_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyrage", None)
    found = failure(lambda: age.require(TO))
    assert (found.code, "pip install pyrage" in found.remedy) == ("library_missing", True)
    assert age.decrypt(SEALED, OWN, "x") == BODY  # reading needs it no more than a restore at night does


# identities


def test_an_identity_file_as_age_keygen_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "key.txt"
    path.write_text(f"# created: 2026-11-20\n# public key: {TO[0]}\n{OTHER}\n\n{SECRET}\n")
    path.chmod(0o600)
    redactor = Redactor()
    found = Identities.of({"age_identity_file": str(path), "age_identity": None}, redactor)
    assert age.decrypt(SEALED, found, "x") == BODY
    assert redactor.text(f"{OTHER} {SECRET} {TO[0]}") == f"{MASK} {MASK} {TO[0]}"
    assert str(SECRET) not in repr(found)


def test_no_identity_says_what_to_give() -> None:
    assert failure(lambda: Identities.of({}, Redactor())).code == "age_identity_missing"


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.txt"
    path.write_text(str(SECRET))
    path.chmod(0o640)
    found = failure(lambda: Identities.of({"age_identity_file": str(path)}, Redactor()))
    assert (found.code, found.object) == ("age_identity_unusable", str(path))
    assert "0640" in found.reason
    assert "chmod 600" in found.remedy


NO_IDENTITIES = {
    "comments only": "# nothing\n",
    "in small letters": str(SECRET).lower(),
    "one letter short": str(SECRET)[:-1],
    "mistyped": str(SECRET)[:-1] + ("Q" if str(SECRET)[-1] != "Q" else "P"),
    "a recipient": TO[0],
    "another kind of SSH key": ssh_key(ec.generate_private_key(ec.SECP256R1()))[0],
    "a broken SSH key": "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
}


@pytest.mark.parametrize("what", NO_IDENTITIES)
def test_what_is_no_identity_is_refused_and_not_shown(what: str) -> None:
    text = NO_IDENTITIES[what]
    found = failure(lambda: Identities.of({"age_identity": text}, Redactor()))
    assert found.code == "age_identity_unusable"
    assert len(text) < 40 or text[20:40] not in found.message


def test_an_empty_text_is_an_unset_variable() -> None:
    assert failure(lambda: Identities.of({"age_identity": ""}, Redactor())).code == "age_identity_missing"


def test_keys_of_both_kinds_in_one_text_all_count() -> None:
    keys = [ssh_key(ed25519.Ed25519PrivateKey.generate()) for _each in range(2)]
    text = f"# mine\n{SECRET}\n# -----BEGIN is how the next begin\n{keys[0][0]}{keys[1][0]}{OTHER}\n"
    known = Identities.of({"age_identity": text}, Redactor())
    for to in (TO[0], keys[0][1], keys[1][1], str(OTHER.to_public())):
        assert age.decrypt(age.encrypt(b"x", [to]), known, "x") == b"x"


# streams


class Pieces:
    """A source that gives pieces, and then fails or waits for its end."""

    def __init__(self, body: bytes, failing: RunbookError | None = None, ended: threading.Event | None = None) -> None:
        self._stream = io.BytesIO(body)
        self._failing = failing
        self._ended = ended

    def readinto(self, buffer: memoryview, /) -> int:
        count = self._stream.readinto(buffer[:10_000])
        if not count and self._failing is not None:
            raise self._failing
        if not count and self._ended is not None:
            self._ended.wait(30)
        return count


def fetched(source: age.Encrypting, size: int = 7_000) -> bytes:
    got, buffer = b"", memoryview(bytearray(size))
    while count := source.readinto(buffer):
        got += buffer[:count]
    return got


def test_a_stream_is_encrypted_as_it_comes() -> None:
    with age.Encrypting(Pieces(BODY * 9), TO, end=lambda: None) as source:
        assert age.decrypt(fetched(source), OWN, "x") == BODY * 9


def test_what_the_source_raises_is_raised() -> None:
    broken = RunbookError(code="dump_failed", attempted="a", object="b", reason="c", remedy="d")
    with age.Encrypting(Pieces(BODY, failing=broken), TO, end=lambda: None) as source:
        assert failure(lambda: fetched(source)) is broken


def test_a_panic_of_the_library_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever fetches must not wait for ever, and is told what failed, in words of ours."""

    def encrypt_io(reading: Any, writing: Any, to: Any) -> None:
        writing.write(reading.read(1000))
        raise Panic("words that may hold anything")

    with age.Encrypting(Pieces(BODY), TO, end=lambda: None) as whole:
        fetched(whole)
    monkeypatch.setattr(pyrage, "encrypt_io", encrypt_io)
    with age.Encrypting(Pieces(BODY), TO, end=lambda: None) as source:
        error = failure(lambda: fetched(source))
    assert (error.code, error.object, "Panic" in error.reason) == ("encryption_failed", "pyrage", True)
    assert "words" not in error.message
    assert "run the same command again" in error.remedy.lower()


def test_a_key_that_the_library_panics_over_is_refused_before() -> None:
    nobodys = "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z"
    assert failure(lambda: age.require([*TO, nobodys])).code == "invalid_parameter"


def test_a_file_of_keys_is_each_of_them() -> None:
    first, second = (ssh_key(ed25519.Ed25519PrivateKey.generate())[1] for _each in range(2))
    both = f"# of operations\n{first} one@laptop\n{second} two@laptop\n{TO[0]}\n"
    assert age.recipients([both]) == tuple(sorted([first, second, TO[0]]))


def test_more_recipients_than_a_header_holds_are_refused() -> None:
    assert "at most" in failure(lambda: age.recipients(f"age1{number}" for number in range(1001))).message


def test_whoever_leaves_early_ends_the_source() -> None:
    ended = threading.Event()
    with age.Encrypting(Pieces(BODY * 50, ended=ended), TO, end=ended.set) as source:
        source.readinto(memoryview(bytearray(10)))
    assert ended.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "age"]
