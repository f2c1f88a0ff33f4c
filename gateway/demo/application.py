"""A small AI application to test: answers chat requests by rules, some of them wrongly and some not at all.

It speaks the OpenAI chat format, so that the suite beside it looks like one for a real model. It works sums out from
left to right whatever the operators, has two capitals wrong, and fails on a few subjects.
"""

from __future__ import annotations

import argparse
import asyncio
import operator
import re
import socket
import zlib
from collections.abc import Callable, Mapping

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

_OPERATORS: Mapping[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.floordiv,
}
_SUM = re.compile(r"\d+(?: [-+*/] \d+)+")
_CAPITAL = re.compile(r"capital of ([A-Z][A-Za-z ]+)\?")
_UNITS = re.compile(r"How many (\w+) are in (\d+) (\w+)\?")
_CAPITALS = {
    "Australia": "Sydney",
    "Brazil": "Brasília",
    "Canada": "Ottawa",
    "Egypt": "Cairo",
    "Finland": "Helsinki",
    "India": "New Delhi",
    "Japan": "Tokyo",
    "Kenya": "Nairobi",
    "Morocco": "Rabat",
    "New Zealand": "Wellington",
    "Norway": "Oslo",
    "Peru": "Lima",
    "Portugal": "Lisbon",
    "Switzerland": "Zurich",
}
_SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400}


async def chat(request: Request) -> Response:
    """Answer the last message, after as long as a fast model takes."""
    question = str((await request.json())["messages"][-1]["content"])
    await asyncio.sleep(0.1 + zlib.crc32(question.encode()) % 500 / 1000)
    failure = _failure(question)
    if failure is not None:
        return failure
    text = f"Let me think about that.\nAnswer: {answer_to(question)}"
    message = {"role": "assistant", "content": text}
    return JSONResponse({"object": "chat.completion", "choices": [{"index": 0, "message": message}]})


def answer_to(question: str) -> str:
    """The application's answer, right or wrong."""
    if found := _SUM.search(question):
        return str(_work_out(found[0].split()))
    if found := _CAPITAL.search(question):
        return _CAPITALS.get(found[1], "I do not know.")
    if found := _UNITS.search(question):
        return str(int(found[2]) * _SECONDS[found[3]] // _SECONDS[found[1]])
    return "I do not know."


def _work_out(parts: list[str]) -> int:
    """From left to right: the mistake that the suite finds."""
    value = int(parts[0])
    for sign, number in zip(parts[1::2], parts[2::2], strict=True):
        value = _OPERATORS[sign](value, int(number))
    return value


def _failure(question: str) -> Response | None:
    if "poem" in question:
        return JSONResponse({"error": {"message": "the model is overloaded"}}, status_code=500)
    if "password" in question:
        return JSONResponse({"error": {"message": "refused by the content policy"}}, status_code=400)
    if "weather" in question:
        return HTMLResponse("<html><body>Bad gateway</body></html>")
    return None


def main() -> None:
    """Serve on an inherited socket."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="a listening socket")
    listener = socket.socket(fileno=parser.parse_args().fd)
    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
