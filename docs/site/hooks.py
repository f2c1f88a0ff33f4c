"""What MkDocs does besides when it builds the site: the REST reference, and files from outside of docs/."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

sys.path.insert(0, str(Path(__file__).parent))  # MkDocs loads a hook as a file, not as a module of a package
from rest_reference import Reference

ROOT = Path(__file__).parents[2]
#: The same loader, in C where there is one: the document is long.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Files that pages link to, and that the site has a copy of.
COPIED = (
    "openapi.yaml",
    "deploy/nginx.conf",
    "deploy/start-worker.sh",
    "deploy/.env.example",
    "deploy/Dockerfile",
    "deploy/compose.yaml",
    "deploy/logins.sql",
    "CHANGELOG.md",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is generated, and the copies."""
    document = yaml.load((ROOT / "openapi.yaml").read_text(encoding="utf-8"), LOADER)  # noqa: S506 - a safe one
    for name, text in Reference(document).pages().items():
        files.append(File.generated(config, f"rest/{name}", content=text))
    for name in COPIED:
        files.append(File.generated(config, name.replace("/.", "/"), abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to what lies beside docs/ lead to the copies."""
    for name in COPIED:
        markdown = markdown.replace(f"](../{name}", f"]({name.replace('/.', '/')}")
    return markdown


def on_post_page(output: str, **_: Any) -> str:
    """A page that would load something from anywhere else ends the build."""
    foreign = re.search(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=[\"'](?:https?:)?//[^>]*>", output)
    if foreign:
        raise PluginError(f"The site loads nothing from elsewhere, but here it would: {foreign[0]}")
    return output
