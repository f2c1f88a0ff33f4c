"""Named SQL: files of statements in `sql/queries/`, each under a line `-- name: …` and a line of purpose."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from sqlalchemy import TextClause, text

_FOLDER = Path(__file__).parent / "sql" / "queries"
_HEADING = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def load(name: str) -> dict[str, str]:
    """Read the statements of `sql/queries/<name>.sql` by their names."""
    parts = _HEADING.split((_FOLDER / f"{name}.sql").read_text(encoding="utf-8"))
    return {heading: body.strip() for heading, body in zip(parts[1::2], parts[2::2], strict=True)}


@cache
def clause(name: str, statement: str) -> TextClause:
    """One named statement as a SQLAlchemy clause with `:parameters`."""
    return text(load(name)[statement])
