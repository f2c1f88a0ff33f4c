"""What a client takes, and how gladly: the weights of headers such as `Accept` (RFC 9110)."""

from __future__ import annotations

from starlette.datastructures import Headers


def weights_of(headers: Headers, name: str) -> dict[str, float]:
    """The weight of each thing that the header names, in lower case."""
    weights: dict[str, float] = {}
    for element in ",".join(headers.getlist(name)).lower().split(","):
        thing, *parameters = (part.strip() for part in element.split(";"))
        weights[thing] = next((_weight(one[2:]) for one in parameters if one.startswith("q=")), 1)
    return weights


def prefers(headers: Headers, media_type: str, *, over: str) -> bool:
    """Whether a client would rather have the one type than the other; to most programs all are the same."""
    weights = weights_of(headers, "accept")
    return _weight_of_type(weights, media_type) > _weight_of_type(weights, over)


def _weight_of_type(weights: dict[str, float], media_type: str) -> float:
    family = media_type.partition("/")[0]
    named = (name for name in (media_type, f"{family}/*", "*/*") if name in weights)
    return next((weights[name] for name in named), 0)


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0
