"""A site that opens from disk with the network off: MathJax comes from a PyPI package, as one file without fonts.

`sphinx-mathjax-offline` carries all of MathJax 3 (24 MB). The book needs one file of it, TeX in and SVG out, which
draws its glyphs itself, so no font has to be loaded and no browser's rules about file:// fonts apply.
"""

import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

SOURCE = "sphinx-mathjax-offline/static/mathjax/tex-svg-full.js"
TARGET = "mathjax/tex-svg-full.js"
CONFIG = {
    "tex": {"inlineMath": [["\\(", "\\)"]], "displayMath": [["\\[", "\\]"]], "tags": "none"},
    "svg": {"fontCache": "global", "mtextInheritFont": True},
    "options": {"enableMenu": False},  # the menu would fetch its parts from elsewhere
}


def find_mathjax() -> Path:
    """The one MathJax file, in the installed package."""
    try:
        path = Path(str(distribution("sphinx-mathjax-offline").locate_file(SOURCE)))
    except PackageNotFoundError:
        path = Path()
    if not path.is_file():
        raise ExtensionError("MathJax is not installed: python -m pip install -e '.[book]' fetches it.")
    return path


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    """Put MathJax among the site's static files."""
    if error is None and app.builder.format == "html" and app.builder.name != "epub":
        target = Path(app.outdir) / "_static" / TARGET
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(find_mathjax(), target)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.config.mathjax_path = TARGET
    app.config.mathjax3_config = CONFIG
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
