"""Tasks of your own: plain Celery tasks, which the gateway's workers execute and its callers submit by name."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from celery import shared_task
from pydantic import BaseModel, Field

from workerapp.base import BaseTask


class Item(BaseModel):
    """What is counted."""

    article: Annotated[str, Field(min_length=1)]
    pieces: Annotated[int, Field(ge=0)] = 1


@shared_task(base=BaseTask, bind=True, name="stock.count")
def count(self: BaseTask, articles: list[str], label: str = "stock") -> str:
    """Count articles, and tell how far it is."""
    for done, article in enumerate(articles, start=1):
        self.progress(done, len(articles), f"counted {article}")
    return f"{label} of {self.organization_id}: {len(articles)}"


@shared_task(base=BaseTask, name="stock.order", pydantic=True)
def order(item: Item, day: date | None = None) -> Item:
    """Order an item, and one more where a day is named.

    With `pydantic=True` it arrives as the model that it is declared as, and so does what is returned leave. Callers are
    told the first line of this.
    """
    return item if day is None else item.model_copy(update={"pieces": item.pieces + 1})
