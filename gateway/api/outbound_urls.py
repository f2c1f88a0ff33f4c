"""URLs in requests, held against what may be called."""

from __future__ import annotations

from gateway.errors import Fault, UrlRefused
from workerapp.contract.outbound import OutboundPolicy, OutboundRefused


def check_url(policy: OutboundPolicy, url: str, pointer: str) -> None:
    """Look whether the URL may be called; `pointer` leads to it.

    Raises:
        UrlRefused: it may not.
    """
    try:
        policy.check_url(url)
    except OutboundRefused as error:
        raise UrlRefused(f"{pointer}: {error}.", faults=[Fault(pointer=pointer, detail=f"{error}.")]) from None
