"""What holds an endpoint's requests back: its pace and its circuit, which others who ask it may share."""

from __future__ import annotations

from dataclasses import dataclass

from workerapp.execution.circuit import Circuit
from workerapp.execution.pace import Pace
from workerapp.execution.rate import SteadyRate


@dataclass(frozen=True, slots=True)
class Admission:
    """Asked before each request, and told what became of it."""

    pace: Pace
    circuit: Circuit


def sole_admission(requests_per_second: float | None, circuit_tests: int) -> Admission:
    """Of somebody who asks the endpoint as if nobody else did."""
    rate = None if requests_per_second is None else SteadyRate(requests_per_second)
    return Admission(Pace(rate), Circuit(circuit_tests))
