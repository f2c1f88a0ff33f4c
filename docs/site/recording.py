"""Draws what `gateway demo --exit` says on a terminal as docs/pictures/demo.svg: `make recording`.

It runs the demo, on a data folder that is gone afterwards. The long table of what went wrong is cut, and the key that
is printed, which ended with the demo, is left out.
"""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from itertools import chain
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parents[1] / "pictures" / "demo.svg"
COMMAND = "make demo ARGS=--exit"
COLUMNS = 108
#: How many wrong answers of the table are shown, below one that could not be had.
SHOWN = 3
_ROW = re.compile(r"  \d+ +\x1b\[\d+m(error|fail)")
#: Fonts of the reader's own machine: a picture loads nothing.
SVG = re.sub(r"@font-face \{\{.*?\}\}\n?", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "font-family: Fira Code, monospace", "font-family: ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
)


def main() -> None:
    draw(shorten(settle(record())))
    print(f"{PICTURE} was drawn.")  # noqa: T201 - a command


def record() -> str:
    """All that the demo writes to a terminal."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-recording-"))
    folder.chmod(0o755)
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": str(COLUMNS), "LINES": "60", "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "gateway.cli.main", "demo", "--exit", "--data-dir", str(folder / "data")]
    with subprocess.Popen(command, env=environment, stdout=theirs, stderr=theirs) as demo:  # noqa: S603 - our own
        os.close(theirs)
        written = b""
        with suppress(OSError):  # the other side is closed
            while chunk := os.read(ours, 65536):
                written += chunk
    shutil.rmtree(folder)
    if demo.returncode != 0:
        sys.exit("the demo did not end as it should; nothing was drawn")
    return written.decode()


def settle(written: str) -> list[str]:
    """The lines as they stand in the end: a line that was drawn again and again as it was at last."""
    lines = [line.rstrip("\r").rpartition("\r\x1b[2K")[2] for line in written.split("\n")]
    return [re.sub(r"\x1b\[\?25[lh]", "", line).rstrip() for line in lines]


def shorten(lines: list[str]) -> list[str]:
    """With a part of the table, and without the key."""
    starts = [number for number, line in enumerate(lines) if _ROW.match(line)]
    end = next(number for number, line in enumerate(lines) if number > starts[-1] and "48 tests" in line)
    rows = [lines[start:stop] for start, stop in zip(starts, [*starts[1:], end - 1], strict=True)]
    errors = [row for row in rows if "error" in row[0]]
    fails = [row for row in rows if "fail" in row[0]]
    dots = ["  …"]
    shown = [*lines[: starts[0]], *errors[0], *dots, *chain(*fails[:SHOWN]), *dots, "", *lines[end:]]
    return [re.sub(r"tsg_\w+", "tsg_…", line) for line in shown]


def draw(lines: list[str]) -> None:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "bold green"), (COMMAND, "bold")))
    for line in lines:
        console.print(Text.from_ansi(line), no_wrap=True, crop=True)
    svg = console.export_svg(title="task-status-gateway", code_format=SVG, unique_id="demo")
    PICTURE.write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
