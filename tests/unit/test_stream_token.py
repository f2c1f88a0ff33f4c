"""A stream token says what it opens, and nobody without the signing key can write or change one."""

from __future__ import annotations

import base64
from dataclasses import replace
from uuid import UUID

import pytest

from gateway.auth.authenticate_stream import StreamCaller, token_offered
from gateway.auth.stream_token import MARK, MAX_LENGTH, Grant, Malformed, Member, SigningKey, parse_token, write_token
from gateway.errors import StreamTokenRefused
from gateway.stream.subject import Subject, SubjectKind
from workerapp.contract.caller import Caller

KEY = SigningKey(7, bytes(range(32)))
TASK = Subject(SubjectKind.TASK, "7f1f4c8e-5a0e-4d7b-9a55-0c2a0f5f3d11")
GRANT = Grant(key_id=UUID("0199d2a0-7c4e-7b1a-8a3e-2f8f7f0a1c22"), expires_at=1_800_000_000, subject=TASK)
TOKEN = write_token(GRANT, KEY)


def bytes_of(token: str) -> bytes:
    text = token.removeprefix(MARK)
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def token_of(signed: bytes) -> str:
    return MARK + base64.urlsafe_b64encode(signed).decode().rstrip("=")


def open_token(token: str, key: SigningKey = KEY) -> Grant:
    return parse_token(token).open(key)


@pytest.mark.parametrize(
    "subject", [None, *(Subject(kind, "x") for kind in SubjectKind), Subject(SubjectKind.TASK, "ö" * 255)]
)
def test_what_is_written_is_read_again(subject: Subject | None) -> None:
    grant = replace(GRANT, subject=subject)
    token = write_token(grant, KEY)
    assert parse_token(token).signing_key_id == KEY.id
    assert open_token(token) == grant


def test_a_token_may_be_of_a_member_of_an_organization_instead_of_an_api_key() -> None:
    for may_watch in (True, False):
        member = Member(organization_id=UUID(int=1), may_watch=may_watch)
        grant = replace(GRANT, key_id=None, member=member)
        assert open_token(write_token(grant, KEY)) == grant


def test_the_longest_id_of_a_task_fits() -> None:
    grant = replace(GRANT, subject=Subject(SubjectKind.TASK, "\U0001f600" * 255))
    assert open_token(write_token(grant, KEY)) == grant


def test_a_token_needs_no_escape_in_a_url_or_a_subprotocol() -> None:
    assert TOKEN.startswith(MARK)
    assert TOKEN.replace("_", "").replace("-", "").isalnum()


def test_a_change_of_any_byte_is_noticed() -> None:
    signed = bytes_of(TOKEN)
    assert token_of(signed) == TOKEN
    for position in range(len(signed)):
        changed = bytearray(signed)
        changed[position] ^= 1
        with pytest.raises(Malformed):
            open_token(token_of(bytes(changed)))


def test_a_part_of_a_token_is_none() -> None:
    for length in range(len(TOKEN)):
        with pytest.raises(Malformed):
            open_token(TOKEN[:length])


def test_a_token_of_another_key_is_refused() -> None:
    with pytest.raises(Malformed):
        open_token(TOKEN, SigningKey(KEY.id, bytes(32)))


def test_a_token_of_another_version_is_refused_whoever_signed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("gateway.auth.stream_token.VERSION", 3)
        newer = write_token(GRANT, KEY)
    with pytest.raises(Malformed):
        open_token(newer)


@pytest.mark.parametrize(
    "text",
    [
        *("", MARK, MARK + "+/+/", MARK + "A" * MAX_LENGTH, "tsg_" + TOKEN.removeprefix(MARK)),
        *(TOKEN.removeprefix(MARK), f"{TOKEN}=", f"{TOKEN} ", f" {TOKEN}", f"{TOKEN[:-1]}ö"),
    ],
)
def test_other_texts_are_no_tokens(text: str) -> None:
    with pytest.raises(Malformed):
        open_token(text)


def test_a_token_has_one_spelling() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = write_token(replace(GRANT, subject=Subject(SubjectKind.TASK, "x")), KEY)
    same = [text for text in (token[:-1] + last for last in alphabet) if bytes_of(text) == bytes_of(token)]
    assert len(same) > 1
    for other in set(same) - {token}:
        with pytest.raises(Malformed):
            open_token(other)


def test_the_secret_of_a_signing_key_is_not_shown() -> None:
    assert "secret" not in repr(KEY)
    assert "\\x01" not in repr(KEY)


def test_a_websocket_offers_its_token_among_the_subprotocols() -> None:
    assert token_offered(["gateway.v1", f"token.{TOKEN}"]) == TOKEN
    assert token_offered(["gateway.v1"]) is None
    assert token_offered([]) is None


def test_a_watcher_of_one_subject_may_watch_that_one_only() -> None:
    caller = Caller(organization_id=UUID(int=1))
    everything, one = StreamCaller(caller=caller), StreamCaller(caller=caller, subject=TASK)
    same_id = Subject(SubjectKind.TEST_RUN, TASK.id)
    assert [everything.may_watch(subject) for subject in (TASK, same_id)] == [True, True]
    assert [one.may_watch(subject) for subject in (TASK, same_id)] == [True, False]
    assert everything.of_organization() == caller
    with pytest.raises(StreamTokenRefused, match="POST /v1/stream-tickets"):
        one.of_organization()
