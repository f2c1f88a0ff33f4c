"""What newer migrations take away of the previous release's schema, and since when nobody uses it, as they say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.stack.process import ROOT

_VERSIONS = ROOT / "workerapp" / "db" / "migrations" / "versions"
_TAKES_AWAY = re.compile(
    r"\bDROP\s+(TABLE|COLUMN|FUNCTION|PROCEDURE|VIEW|TYPE|SEQUENCE)\b|\bRENAME\b|\bSET\s+NOT\s+NULL\b"
    r"|\bALTER\s+COLUMN\s+\w+\s+(SET\s+DATA\s+)?TYPE\b",
    re.IGNORECASE,
)
_MARK = re.compile(r"^-- Unused since (\d+\.\d+\.\d+): (.+)\.$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Contraction:
    """What one migration takes away."""

    migration: str
    #: The statements that do it.
    statements: Sequence[str]
    #: The names that it says are not used any more, and the release since which they are not.
    unused: dict[str, str]

    @property
    def unexplained(self) -> list[str]:
        """Statements that take away what is not named."""
        return [one for one in self.statements if not any(re.search(rf"\b{name}\b", one) for name in self.unused)]


def contractions(after: str, folder: Path = _VERSIONS) -> Iterator[Contraction]:
    """Of all migrations behind that one."""
    for path in sorted(folder.glob("*.sql")):
        if path.stem[:4] > after:
            text = path.read_text(encoding="utf-8")
            marks = {name.strip(): version for version, names in _MARK.findall(text) for name in names.split(",")}
            statements = [one.strip() for one in re.sub(r"--.*", "", text).split(";") if _TAKES_AWAY.search(one)]
            yield Contraction(migration=path.stem, statements=statements, unused=marks)
