"""JSON values as text, and as something a jsonb column can hold."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

#: Half of a surrogate pair (JSON may spell one) and NUL are the two things that a Postgres text cannot hold.
_UNSTORABLE = re.compile("[\ud800-\udfff\x00]")
_REPLACEMENT = "\ufffd"


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def as_text(value: Any) -> str:
    """A text as it is, anything else as compact JSON: 18, true, null, {"a":1}."""
    if isinstance(value, str):
        return value
    return as_json(value)


def storable_text(text: str) -> str:
    return _UNSTORABLE.sub(_REPLACEMENT, text)


def storable(value: Any) -> Any:
    """The same value with everything that jsonb refuses replaced; the depth is bounded by the JSON parser."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable_text(key): storable(item) for key, item in value.items()}
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def decode(payload: bytes | str) -> Any:
    """A JSON document; a ValueError says that it is none, a RecursionError that it is nested too deeply."""
    text = payload if isinstance(payload, str) else payload.decode(json.detect_encoding(payload))
    return _DECODER.decode(text)
