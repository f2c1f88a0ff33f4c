"""An application under test for the pages: it works sums out, and says what it is told to say."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Assistant(BaseHTTPRequestHandler):
    """Answers in the form of OpenAI's chat completions, and as plain `output`."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = answer_to(question_of(asked))
        message = {"role": "assistant", "content": text}
        body = json.dumps({"output": text, "choices": [{"index": 0, "message": message}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def question_of(asked: dict[str, Any]) -> str:
    return str(asked["messages"][-1]["content"] if "messages" in asked else asked.get("input", ""))


def answer_to(question: str) -> str:
    if numbers := re.search(r"(\d+) \+ (\d+)", question):
        return f"Answer: {int(numbers[1]) + int(numbers[2])}"
    return question.removeprefix("say ")


@contextmanager
def assistant() -> Iterator[str]:
    """The URL of one that runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Assistant)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/chat/completions"
    server.shutdown()
    server.server_close()
    thread.join()
