"""Holds what a command said against what a page shows: the same, but for what is another one each time."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
#: What differs from run to run, by the pattern that finds it in a page, and what may stand there instead.
_VARYING = {
    r"…": r".*",
    r"\bts[gt]_\w+": r"ts[gt]_[\w-]+",
    r"\bwhsec_[\w+/=]+": r"whsec_[\w+/=]+",
    r"https?://127\.0\.0\.1:\d+": r"https?://127\.0\.0\.1:\d+",
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.]*(?:Z|\+00:00)?": r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.]*(?:Z|\+00:00)?",
    r"[\w-]+@[\w.-]+": r"[\w-]+@[\w.-]+",
    r"(?<![\w.])-?\d+(?:\.\d+)?": r"-?\d+(?:\.\d+)?",
    r" {2,}": r" +",
}
_PIECE = re.compile("|".join([rf"(?P<uuid>{_UUID})", *(f"({pattern})" for pattern in _VARYING)]))


@dataclass
class Shapes:
    """The shapes of one page: an id that it shows twice has to be the same one twice."""

    #: The ids that came in the place of those that the page shows.
    ids: dict[str, str] = field(default_factory=dict)

    def translate(self, text: str) -> str:
        """A command with the ids that there are, in the place of those that the page shows."""
        for shown, given in self.ids.items():
            text = text.replace(shown, given)
        return text

    def difference(self, shown: str, said: str) -> str | None:
        """What a page shows and nothing of what was said looks like; None if all of it was said, in that order."""
        lines = iter(_lines(said))
        for line in _lines(shown):
            if line == "…":
                continue
            pattern, names = self._pattern(line)
            match = next((match for other in lines if (match := re.fullmatch(pattern, other))), None)
            if match is None:
                return line
            self.ids |= {name: match[group] for group, name in names.items()}
        return None

    def _pattern(self, line: str) -> tuple[str, dict[str, str]]:
        names: dict[str, str] = {}
        parts, end = [], 0
        for piece in _PIECE.finditer(line):
            parts.append(re.escape(line[end : piece.start()]))
            parts.append(self._replacement(piece, names))
            end = piece.end()
        return "".join([*parts, re.escape(line[end:])]), names

    def _replacement(self, piece: re.Match[str], names: dict[str, str]) -> str:
        if piece["uuid"] is None:
            return next(instead for pattern, instead in _VARYING.items() if re.fullmatch(pattern, piece[0]))
        if piece[0] in self.ids:
            return re.escape(self.ids[piece[0]])
        for group, name in names.items():
            if name == piece[0]:
                return f"(?P={group})"
        group = f"id{len(names)}"
        names[group] = piece[0]
        return f"(?P<{group}>{_UUID})"


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]
