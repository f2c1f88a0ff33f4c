"""`gateway listen`: deliveries are verified and printed, whatever is sent, and nothing is left at its end."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.cli.webhook_receiver import MOST_BYTES
from tests.stack.commands import COMMAND, Command, run_command
from tests.stack.process import ROOT, _clean_environment
from tests.waiting import until
from workerapp.contract.webhook_signing import TOLERANCE, new_secret, sign

SECRET, OTHER_SECRET = new_secret(), new_secret()
BODY = json.dumps({"type": "test_run.completed", "timestamp": "…", "data": {"seq": 7, "status": "completed"}}).encode()
GARBAGE = [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b'{"a": NaN}', b"[" * 100_000, b"9" * 5_000]


@dataclass(frozen=True)
class Listening:
    """A `gateway listen` that is ready."""

    command: Command
    url: str

    def post(self, body: bytes, headers: Mapping[str, str], path: str = "/") -> httpx.Response:
        with httpx.Client(trust_env=False, timeout=20) as client:
            return client.post(self.url + path, content=body, headers=dict(headers))

    def told(self, number: int) -> dict[str, Any]:
        """The last of so many lines of JSON."""
        lines = until(lambda: lines if len(lines := self.command.lines(r"^\{")) >= number else None)
        assert len(lines) == number
        line: dict[str, Any] = json.loads(lines[-1])
        return line


@contextmanager
def listening(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> Iterator[Listening]:
    with Command("listen", "--port", "0", *arguments, environment=environment) as command:
        yield Listening(command, command.wait_for(r"^Listening on (http://\S+)")[1])


def signed(body: bytes = BODY, *secrets: str, age: float = 0, name: str = "0199-7") -> dict[str, str]:
    sent = int(time.time() - age)
    signature = sign(secrets or (SECRET,), name, sent, body)
    return {"webhook-id": name, "webhook-timestamp": str(sent), "webhook-signature": signature}


@pytest.fixture(scope="module")
def shared_listening() -> Iterator[Listening]:
    with listening(environment={"GATEWAY_WEBHOOK_SECRET": SECRET}) as running:
        yield running


@dataclass
class Counted:
    """One `gateway listen` for many tests, each of which sees only its own lines."""

    listening: Listening
    before: int

    def post(self, body: bytes, headers: Mapping[str, str]) -> tuple[httpx.Response, dict[str, Any]]:
        answer = self.listening.post(body, headers)
        self.before += 1
        return answer, self.listening.told(self.before)


@pytest.fixture
def receiver(shared_listening: Listening) -> Counted:
    return Counted(shared_listening, len(shared_listening.command.lines(r"^\{")))


def test_a_delivery_that_is_signed_is_verified_and_printed(receiver: Counted) -> None:
    answer, line = receiver.post(BODY, signed())
    assert (answer.status_code, answer.content) == (204, b"")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\S+\+00:00", line.pop("received_at"))
    assert line == {
        "id": "0199-7",
        "type": "test_run.completed",
        "verified": True,
        "reason": None,
        "answer": 204,
        "payload": json.loads(BODY),
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda: (BODY, signed(BODY, OTHER_SECRET)), "no signature is by this secret"),
        (lambda: (BODY + b" ", signed()), "what was signed has been changed"),
        (lambda: (BODY, signed() | {"webhook-id": "0199-8"}), "what was signed has been changed"),
        (lambda: (BODY, signed(age=TOLERANCE.total_seconds() + 60)), "more than 300 seconds from now"),
        (lambda: (BODY, signed(age=-TOLERANCE.total_seconds() - 60)), "more than 300 seconds from now"),
        (lambda: (BODY, signed() | {"webhook-timestamp": "9" * 5000}), "is not a number of seconds"),
        (lambda: (BODY, signed() | {"webhook-signature": "v1"}), "no signature is by this secret"),
        (lambda: (BODY, {}), "the headers webhook-id, webhook-timestamp and webhook-signature are needed"),
    ],
    ids=["other secret", "changed body", "changed id", "old", "of the future", "no time", "no signature", "no headers"],
)
def test_what_is_not_genuine_is_refused_and_printed_with_the_reason(
    receiver: Counted, change: Callable[[], tuple[bytes, dict[str, str]]], reason: str
) -> None:
    answer, line = receiver.post(*change())
    assert answer.status_code == 400
    assert reason in answer.text
    assert (line["verified"], line["answer"], line["payload"]) == (False, 400, json.loads(BODY))
    assert reason in line["reason"]


def test_a_delivery_with_the_signatures_of_two_secrets_is_verified_by_either(receiver: Counted) -> None:
    for secrets in ((SECRET, OTHER_SECRET), (OTHER_SECRET, SECRET)):
        answer, line = receiver.post(BODY, signed(BODY, *secrets))
        assert (answer.status_code, line["verified"]) == (204, True)


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_refused_even_if_it_is_signed(receiver: Counted, body: bytes) -> None:
    answer, line = receiver.post(body, signed(body))
    assert (answer.status_code, answer.text) == (400, "the body is no JSON object, as the payload of a delivery is.\n")
    assert (line["verified"], line["type"], line["payload"]) == (False, None, None)


def test_what_is_no_delivery_at_all_is_answered_with_a_sentence(shared_listening: Listening) -> None:
    with httpx.Client(base_url=shared_listening.url, trust_env=False) as client:
        shown = client.get("/hook")
    assert (shown.status_code, shown.text, shown.headers["allow"]) == (405, "deliveries are sent with POST.\n", "POST")
    with _connected(shared_listening) as connection:
        connection.sendall(b"\x00\x01\x02 no HTTP\r\n\r\n")
        assert b" 400 " in _read_all(connection).partition(b"\r\n")[0]


def test_a_body_without_an_end_is_not_read_to_it(receiver: Counted) -> None:
    with _connected(receiver.listening) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        for _ in range(MOST_BYTES // 0x10000 + 1):
            connection.sendall(chunk)
        assert connection.recv(12) == b"HTTP/1.1 413"
    answer = receiver.listening.post(b"x" * (MOST_BYTES + 1), {})
    assert (answer.status_code, answer.text) == (413, f"the body is larger than {MOST_BYTES} bytes.\n")
    assert receiver.post(BODY, signed())[1]["verified"], "and it goes on"


def test_who_leaves_in_the_middle_of_a_body_does_no_harm(receiver: Counted) -> None:
    with _connected(receiver.listening) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert receiver.post(BODY, signed())[1]["verified"]


def test_the_answer_can_be_another_one(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    with listening("--status", "503", "--secret-file", tmp_path / "secret", "--json") as running:
        assert running.post(BODY, signed(), "/any/path?x=1").status_code == 503
        line = running.told(1)
        assert (line["verified"], line["answer"]) == (True, 503)


def test_without_a_secret_nothing_is_verified_and_all_is_printed() -> None:
    with listening() as running:
        assert running.command.lines("There is no secret, so nothing is verified")
        assert running.post(BODY, {}).status_code == 204
        line = running.told(1)
        assert (line["verified"], line["reason"], line["id"]) == (False, "there is no secret", None)
        assert running.post(b"{", {}).status_code == 400


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_when_it_is_asked_to_even_while_somebody_sends_slowly(number: signal.Signals) -> None:
    with listening() as running, _connected(running) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert running.post(BODY, {}).status_code == 204, "the connection before has been taken"
        assert running.command.end(number) == 0
        assert not running.command.lines("Traceback|Error")


def test_a_second_request_to_end_waits_for_no_gateway() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = ("--server", f"http://127.0.0.1:{silent.getsockname()[1]}", "--api-key", "tsg_x", "--events", "*")
        with Command("listen", "--port", "0", *options) as command:
            asking, _ = silent.accept()
            with asking:
                os.kill(command.pid, signal.SIGTERM)
                assert command.end(signal.SIGINT) == 130


def test_it_ends_when_nobody_reads_any_more() -> None:
    listen = [*COMMAND, "listen", "--port", "0"]
    with subprocess.Popen(
        listen, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=_clean_environment()
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        url = child.stderr.readline().split()[2]
        child.stdout.close()
        httpx.post(url, content=BODY, trust_env=False)
        assert child.wait(30) == 1
        assert child.stderr.read() == ""


def test_on_a_terminal_a_delivery_is_a_line_that_a_payload_cannot_break() -> None:
    body = json.dumps({"type": "x\x1b[2J", "data": {"text": "a\nb\x1b]0;owned\x07" + "c" * 5000}}).encode()
    main, terminal = pty.openpty()
    with listening_on(terminal, {"GATEWAY_WEBHOOK_SECRET": SECRET, "COLUMNS": "160"}) as url:
        httpx.post(url, content=body, headers=signed(body), trust_env=False)
        httpx.post(url, content=b"no", headers=signed(b"no"), trust_env=False)
        shown = os.read(main, 100_000).decode()
        while shown.count("\r\n") < 2:
            shown += os.read(main, 100_000).decode()
    os.close(main)
    first, second, _ = shown.split("\r\n")
    assert re.match(r"\d\d:\d\d:\d\d x\ufffd\[2J 0199-7 verified, answered 204 \{", first)
    assert "\x1b" not in shown
    assert len(first) <= 160
    assert second.endswith("REFUSED (the body is no JSON object, as the payload of a delivery is), answered 400")


@contextmanager
def listening_on(terminal: int, environment: Mapping[str, str]) -> Iterator[str]:
    """Run it with this as its stdout."""
    with subprocess.Popen(
        [*COMMAND, "listen", "--port", "0"],
        stdout=terminal,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=_clean_environment() | dict(environment),
    ) as child:
        os.close(terminal)
        assert child.stderr is not None
        try:
            yield child.stderr.readline().split()[2]
        finally:
            child.terminate()
            assert child.wait(30) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--secret", "hunter2"), "the secret looks like whsec_"),
        (("--secret-file", "absent"), "absent cannot be read: No such file"),
        (("--secret", SECRET, "--events", "task.*"), "the gateway makes the secret"),
        (("--status", "100"), "200 to 599 are"),
        (("--port", "70000"), "port"),
        (("--host", "192.0.2.1"), "Cannot listen on 192.0.2.1"),
        (("--events", "task.*"), "give --server, or set GATEWAY_URL"),
        (("--server", "http://127.0.0.1:9", "--api-key", "tsg_x"), "http://127.0.0.1:9 cannot be reached"),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(arguments: tuple[str, ...], said: str) -> None:
    ended = run_command("listen", *(() if "--port" in arguments else ("--port", "0")), *arguments)
    assert ended.status in {1, 2, 3}
    assert said in ended.stderr
    assert "hunter2" not in ended.stderr
    assert ended.stdout == ""


@contextmanager
def _connected(running: Listening) -> Iterator[socket.socket]:
    host, _, port = running.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        yield connection


def _read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))
