"""How the book's pages are made. `python book/build.py` executes the chapters, then makes the site and the EPUB.

The chapters are MyST Markdown notebooks. Sphinx executes nothing: it finds what the chapters gave (`_ext/chapters.py`).
Nothing in the built site needs a network: see `_ext/offline.py`.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

BOOK = Path(__file__).parent
sys.path.insert(0, str(BOOK / "_ext"))
if find_spec("insideout") is None:
    sys.path.insert(0, str(BOOK.parent / "src"))

project = "Transformers from the Inside Out"
author = "The Transformers from the Inside Out contributors"
project_copyright = "the Transformers from the Inside Out contributors, MIT licence"
release = version = "0.1.0"
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_exercise",
    "sphinxcontrib.bibtex",
    # ours, in _ext
    "offline",
    "mathml",
    "chapters",
    "downloads",
    "figures",
    "bookkeeping",
    "navigation",
    "claims_page",
    "api_pages",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints", "jupyter_execute", "README.md"]
numfig = True
nitpicky = False
suppress_warnings = ["epub.unknown_project_files", "epub.duplicated_toc_entry", "config.cache"]

# Notebooks. What their cells gave, and the numbers in their prose, come from `_ext/execution.py`.
nb_execution_mode = "off"
nb_eval_name_regex = r"^.+$"
nb_merge_streams = True
nb_output_stderr = "remove"  # progress of a recipe that is being trained
nb_ipywidgets_js = {}
nb_number_source_lines = False
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"

myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"
bibtex_reference_style = "author_year"

# The API pages: docstrings are plain prose with `code` in single backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
python_maximum_signature_line_length = 72
add_module_names = False
toc_object_entries_show_parents = "hide"
viewcode_line_numbers = True
viewcode_follow_imported_members = False

# The site
html_math_renderer = "mathjax"
html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_js_files = ["custom.js"]
html_baseurl = os.environ.get("INSIDEOUT_ADDRESS", "")  # where the site will be read, once that is known
html_favicon = "_static/favicon.svg"
html_search_scorer = str(BOOK / "_static" / "scorer.js")
html_show_search_summary = False  # a summary would have to be fetched, which file:// forbids
html_copy_source = True
html_show_sphinx = False
html_last_updated_fmt = None
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": "Transformers<br>from the Inside Out"},
    "show_navbar_depth": 1,
    "max_navbar_depth": 2,  # parts and their chapters: what lies deeper is read, copied and dropped on every page
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "home_page_in_toc": False,
    "navbar_persistent": [],
    "footer_content_items": ["copyright"],
    "toc_title": "On this page",
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
copybutton_exclude = ".linenos, .gp, .go"
copybutton_selector = ".cell_input div.highlight pre, div.highlight-bash pre, div.highlight-python pre"

# The EPUB
epub_show_urls = "no"
epub_exclude_files = ["search.xhtml", "genindex.xhtml", "py-modindex.xhtml"]
epub_css_files = ["epub.css"]
epub_theme_options = {"relbar1": False, "footer": False}
epub_math_renderer = "mathml"
epub_title = project
epub_use_index = False
