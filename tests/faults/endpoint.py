"""The application under test of a fault run: it repeats what it was asked, after a moment, and refuses `fail`."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

SECONDS = 0.1


async def answer(request: web.Request) -> web.Response:
    question = (await request.json())["input"]
    await asyncio.sleep(SECONDS)
    if question == "fail":
        return web.json_response({"error": "refused"}, status=400)
    return web.json_response({"output": question})


def serve(port: int) -> None:
    application = web.Application()
    application.router.add_post("/", answer)
    web.run_app(application, host="127.0.0.1", port=port, access_log=None, print=lambda *_: print("endpoint ready"))


if __name__ == "__main__":
    serve(int(sys.argv[1]))
