"""A judge that a test steers: an OpenAI-compatible chat at `/v1/chat/completions`, and a service at `/judge`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHAT, SERVICE = "/v1/chat/completions", "/judge"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What is said, or the body of a status that is no success; a reply that waits comes when the judge is closed."""

    said: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    waits: bool = False


Script = Callable[[Any], Reply]


class JudgeServer:
    """Replies as its script says, which is given the body of each request."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.bodies: list[Any] = []
        self.authorizations: list[str | None] = []
        self.closing = threading.Event()
        self.port = 0

    @property
    def chat_url(self) -> str:
        return f"http://127.0.0.1:{self.port}{CHAT}"

    @property
    def service_url(self) -> str:
        return f"http://127.0.0.1:{self.port}{SERVICE}"

    def shown(self) -> str:
        """What the last request shows and tells a language model."""
        return "\n".join(message["content"] for message in self.bodies[-1]["messages"])


def replies(*given: Reply | str) -> Script:
    """One reply after the other; the last one repeats."""
    waiting = [reply if isinstance(reply, Reply) else Reply(said=reply) for reply in given]
    return lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0]


@contextmanager
def judge_server(script: Script) -> Iterator[JudgeServer]:
    """Serve one."""
    served = JudgeServer(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.bodies.append(body)
            served.authorizations.append(self.headers.get("Authorization"))
            reply = served.script(body)
            if reply.waits:
                served.closing.wait(60)
            self._send(reply, reply.said if self.path == SERVICE or reply.status != 200 else _completion(reply.said))

        def _send(self, reply: Reply, text: str) -> None:
            payload = text.encode()
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)

        def handle(self) -> None:
            with suppress(ConnectionError):  # The client has given up waiting.
                super().handle()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        served.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield served
        finally:
            served.closing.set()
            server.shutdown()
            thread.join()


def _completion(said: str) -> str:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": said}}]})
