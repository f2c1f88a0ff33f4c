"""`make release-contract`: keeps the document of the version that is released."""

from __future__ import annotations

from tests.compatibility.released import keep

if __name__ == "__main__":
    print(f"kept {keep()}")
