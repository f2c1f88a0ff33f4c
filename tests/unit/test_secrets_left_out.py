"""Secrets are left out of what is told of an exchange, also where a text is cut off in the middle of one."""

from __future__ import annotations

import pytest
from yarl import URL

from workerapp.contract.invocation import SentRequest
from workerapp.execution.failures import FailureReader
from workerapp.execution.trace import Trace

SECRET = "s3cr3t-t0k3n"
READER = FailureReader(URL("https://app.example.com/"), {"X-Key": SECRET}, excerpt_length=200)
REQUEST = SentRequest(method="POST", url="https://app.example.com/", headers={"X-Key": SECRET}, body=None)


@pytest.mark.parametrize(
    ("cut", "told"),
    [
        (f"the key {SECRET}", "the key ***"),
        ("the key s3cr3t-t0k3", "the key "),
        ("the key s", "the key "),
        (f"{SECRET} and s3cr3t-", "*** and "),
        ("nothing of it", "nothing of it"),
        ("", ""),
    ],
)
def test_a_text_that_was_cut_off_ends_before_a_secret_that_began(cut: str, told: str) -> None:
    assert READER.clean_beginning(cut) == told


@pytest.mark.parametrize("most", range(1, 40))
def test_no_excerpt_of_a_request_tells_how_a_secret_begins(most: int) -> None:
    body = f'{{"key": "{SECRET}", "more": "…"}}'.encode()
    trace = Trace(most)
    trace.sent(REQUEST, body=body, secret_headers=["X-Key"], cleaner=READER)
    assert trace.request is not None
    assert trace.request.headers == {"X-Key": "***"}
    assert "s3" not in (trace.request.body or "")
