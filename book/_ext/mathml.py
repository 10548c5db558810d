"""Formulas of the EPUB as MathML, which reading systems draw without any script."""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)
# What MathJax knows and latex2mathml does not, in words of the latter.
SAME = [
    (r"\\operatorname\*?\{([^{}]*)\}", r"\\text{\1}"),
    (r"\\!", ""),
    (r"\\dots\b", r"\\ldots"),
    (r"\\(begin|end)\{aligned\}", r"\\\1{split}"),
]


def to_mathml(tex: str, display: str) -> str:
    """One formula as a <math> element; a formula that cannot be converted shows as its TeX source, with a warning."""
    for pattern, replacement in SAME:
        tex = re.sub(pattern, replacement, tex)
    try:
        return convert(tex, display=display)
    except Exception as problem:
        logger.warning("this formula has no MathML: %s (%s)", tex, problem)
        return f"<code>{tex.replace('&', '&amp;').replace('<', '&lt;')}</code>"


def inline(self: Any, node: nodes.math) -> None:
    """A formula in a line of text."""
    self.body.append(to_mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def block(self: Any, node: nodes.math_block) -> None:
    """A formula of its own; the lines of an aligned one become rows."""
    tex = node.astext().strip()
    if r"\\" in tex and r"\begin" not in tex:
        tex = rf"\begin{{aligned}}{tex}\end{{aligned}}"
    self.body.append(f'<div class="math">{to_mathml(tex, "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))
    app.add_config_value("epub_math_renderer", None, "epub")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
