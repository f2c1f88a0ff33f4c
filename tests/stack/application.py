"""An application under test that a test steers: what it answers is in the question, and it can be made to wait."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Application:
    """Answers `say X` with X; `fail` gets a 400; `wait` is answered when `gate` is open.

    Asked in a conversation, it remembers what it was asked, answers `recall` with that, and gives the conversation a
    name of its own, by which it wants to be asked the next time.
    """

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.asked: Counter[str] = Counter()
        #: Of the last request for each question; names in lower case.
        self.headers: dict[str, dict[str, str]] = {}
        self.is_waiting = threading.Event()
        self.port = 0
        self.conversations: dict[str, list[str]] = {}
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def answer(self, question: str, conversation: str | None = None) -> tuple[int, object]:
        self.asked[question] += 1
        if question == "fail":
            return 400, {"error": "no"}
        if question == "wait":
            self.is_waiting.set()
            self.gate.wait(60)
        if conversation is None:
            return 200, {"output": question.removeprefix("say ")}
        name = conversation if conversation in self.conversations else f"conversation {next(self._numbers)}"
        said = self.conversations.setdefault(name, [])
        output = "; ".join(said) if question == "recall" else question.removeprefix("say ")
        said.append(question)
        return 200, {"output": output, "conversation": name}


@contextmanager
def application() -> Iterator[Application]:
    """Serve one."""
    served = Application()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.headers[body["input"]] = {name.lower(): value for name, value in self.headers.items()}
            status, answer = served.answer(body["input"], body.get("conversation"))
            payload = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        served.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield served
        finally:
            served.gate.set()
            server.shutdown()
            thread.join()
