"""`make release-contract`: keeps the document of the version that is released, and what its processes leave at work."""

from __future__ import annotations

from tests.compatibility.released import keep
from tests.upgrades.recording import record_present

if __name__ == "__main__":
    print(f"kept {keep()}")
    print(f"kept {record_present().dump}")
