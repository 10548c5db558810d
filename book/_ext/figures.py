"""Figures on the site: what they show is said to who cannot see them, and live ones find their script.

A figure's caption is the paragraph in italics after its cell. It becomes the text that stands for the picture.
"""

import re
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from insideout.lab.figures.live import SCRIPT

UNSAID = re.compile(r'<svg (?![^>]*aria-label)([^>]*role="img")')
SCRIPTS = re.compile(r"<script\b.*?</script>", flags=re.S)


def caption_after(cell: nodes.Element) -> str:
    """The words of the paragraph in italics that follows a cell, or nothing."""
    siblings = cell.parent.children
    after = siblings[siblings.index(cell) + 1 :]
    following = next((node for node in after if not isinstance(node, nodes.comment | nodes.target)), None)
    is_caption = isinstance(following, nodes.paragraph) and isinstance(following[0], nodes.emphasis)
    return following.astext() if is_caption and following is not None else ""


def say_what_they_show(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Give every picture of a cell that has no words of its own those of its caption."""
    for cell in doctree.findall(nodes.container):
        if "cell" not in cell.get("classes", []) or cell.get("nb_element") != "cell_code":
            continue
        caption = caption_after(cell)
        for raw in cell.findall(nodes.raw):
            if raw.get("format") == "html" and "<svg" in raw.astext():
                said = f'<svg aria-label="{escape(caption)}" ' if caption else "<svg "
                text = UNSAID.sub(said.replace("\\", r"\\") + r"\1", raw.astext())
                if app.builder.name == "epub":  # XHTML that runs nothing
                    text = SCRIPTS.sub("", text)
                raw.replace_self(nodes.raw("", text, format="html"))
        for image in cell.findall(nodes.image):
            if caption:
                image["alt"] = caption


def copy_script(app: Sphinx, error: Exception | None) -> None:
    """Put the script of live figures among the site's static files."""
    if error is None and app.builder.format == "html" and app.builder.name != "epub":
        target = Path(app.outdir) / "_static" / SCRIPT.name
        target.write_text(SCRIPT.read_text(encoding="utf-8"), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("doctree-resolved", say_what_they_show)
    app.connect("build-finished", copy_script)
    if app.config.html_js_files is not None:
        app.add_js_file(SCRIPT.name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
