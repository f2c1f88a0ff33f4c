"""The origin's way: a FastAPI application that calls `task.delay` and reads an `AsyncResult`.

`python -m tests.bench.requests.origin_api PORT`, with ORIGIN_URL in the environment. Its functions are synchronous, as
Celery is, and so run in FastAPI's threads.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI

from tests.bench.origin import app as celery

api = FastAPI()


@api.post("/execute", status_code=202)
def execute() -> dict[str, str]:
    return {"task_id": celery.tasks["origin.now"].delay().id}


@api.get("/tasks/{task_id}")
def read(task_id: str) -> dict[str, Any]:
    result = celery.AsyncResult(task_id)
    return {"task_id": task_id, "status": result.status, "result": result.result if result.ready() else None}


if __name__ == "__main__":
    uvicorn.run(api, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="info")
