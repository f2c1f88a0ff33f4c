"""Judging the answers of one run: by arithmetic here, and by judges that are asked at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from workerapp.contract.judges import Judge
from workerapp.contract.metric import MetricBase
from workerapp.contract.metrics import JsonSchema
from workerapp.contract.specs import ConfigurationSpec
from workerapp.execution.judges.case import Case
from workerapp.execution.judges.panel import Panel
from workerapp.execution.metrics.evaluate import Judged, compute, conclude
from workerapp.execution.metrics.finding import JudgingLimits
from workerapp.execution.metrics.verdict import Score, Verdict
from workerapp.execution.named_metrics import NamedMetrics, resolve

#: Longer outputs, and all that are held against a schema, are judged beside the event loop. It costs 0.07 ms more, and
#: a schema may take a second in which no other answer of the lane would be read, or its time taken.
SHORT_OUTPUT = 5_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Hearing:
    """An answer, and the metrics that judge it."""

    metrics: Sequence[MetricBase]
    case: Case


class Judging:
    """Judges by metrics of all kinds; `configured` are those of the run's configuration."""

    def __init__(
        self, configuration: ConfigurationSpec, limits: JudgingLimits, panel: Panel, named: NamedMetrics | None = None
    ) -> None:
        """`named` are the named metrics that the run was planned with."""
        self._named = {} if named is None else named
        self.configured = self.read_metrics(configuration.metrics)
        self._pass_threshold = configuration.pass_threshold
        self._limits, self._panel = limits, panel
        # The arithmetic holds the interpreter, so a second thread would only make the first one slower.
        self._bench = ThreadPoolExecutor(max_workers=1, thread_name_prefix="judge")

    def close(self) -> None:
        """Judge nothing more; what is being judged does not hold up the end."""
        self._bench.shutdown(wait=False, cancel_futures=True)

    def read_metrics(self, stored: Sequence[Any]) -> list[MetricBase]:
        """Stored metrics, with the run's named ones in the place of references."""
        return resolve(stored, self._named) if stored else []

    async def judge(self, hearings: Sequence[Hearing]) -> Verdict:
        """The verdict on a test; all of its judges are asked at once."""
        metrics = [metric for hearing in hearings for metric in hearing.metrics]
        asked = [
            asyncio.create_task(self._panel.score(metric, hearing.case))
            for hearing in hearings
            for metric in hearing.metrics
            if isinstance(metric, Judge)
        ]
        try:
            ours = iter(await self._compute([self._arithmetic(hearing) for hearing in hearings]))
            theirs = iter(await asyncio.gather(*asked) if asked else ())
        finally:
            for task in asked:
                task.cancel()
        scores = [next(theirs if isinstance(metric, Judge) else ours) for metric in metrics]
        return conclude(metrics, scores, pass_threshold=self._pass_threshold)

    def _arithmetic(self, hearing: Hearing) -> Judged:
        metrics = [metric for metric in hearing.metrics if not isinstance(metric, Judge)]
        return Judged(metrics=metrics, answered=hearing.case.answered(self._limits), turn=hearing.case.turn)

    async def _compute(self, judged: Sequence[Judged]) -> list[Score]:
        if _is_quick(judged):
            return compute(judged)
        return await asyncio.get_running_loop().run_in_executor(self._bench, compute, judged)


def _is_quick(judged: Sequence[Judged]) -> bool:
    if any(isinstance(metric, JsonSchema) for one in judged for metric in one.metrics):
        return False
    return sum(len(one.answered.text) for one in judged if one.metrics) <= SHORT_OUTPUT
