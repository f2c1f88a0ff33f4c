"""Webhooks: what is learnt of their receivers, callbacks of runs, and deliveries that were skipped."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    script = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().connection.driver_connection.execute(script)  # type: ignore[union-attr]
