"""The built site in a real browser, opened from disk: nothing fetched from outside, no script error, every formula
drawn, every internal link alive, no page wider than the phone; search works; the EPUB needs no script."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse
from xml.etree import ElementTree

import pytest

BOOK = Path(__file__).parents[2] / "book"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def build(shared: Path, tmp_path_factory: pytest.TempPathFactory, book_environment: dict[str, str]) -> Path:
    """The book as a site and as an EPUB, built at tiny scale; chapters that test_chapters.py executed are not again."""
    out = tmp_path_factory.mktemp("build")
    command = [sys.executable, str(BOOK / "build.py"), "--out", str(out), "--executed", str(shared / "executed")]
    done = subprocess.run(command, env=book_environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    (out / "warnings").write_text(done.stderr)
    return out


@pytest.fixture(scope="session")
def site(build: Path) -> Path:
    return build / "html"


class Page(HTMLParser):
    """The links and anchors of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("id"):
            self.anchors.add(str(values["id"]))
        if tag == "a" and values.get("href"):
            self.links.append(str(values["href"]))
        if tag in ("script", "img", "iframe", "source") and values.get("src"):
            self.loaded.append(str(values["src"]))
        if tag == "link" and values.get("href") and values.get("rel") not in ("index", "search", "next", "prev"):
            self.loaded.append(str(values["href"]))


def test_no_warning_from_the_build(build: Path) -> None:
    lines = (build / "warnings").read_text().splitlines()
    warnings = [line for line in lines if "WARNING" in line or "ERROR" in line]
    assert not warnings, "\n".join(warnings)


def test_every_internal_link_and_anchor_resolves(site: Path) -> None:
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html") if path.parent.name != "_static"}
    assert len(pages) > 10
    broken = []
    for path, page in pages.items():
        for link in page.links + page.loaded:
            parts = urlparse(link)
            if parts.scheme in ("http", "https", "mailto", "data", "javascript"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not target.exists() or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken, "\n".join(broken)


def test_nothing_is_loaded_from_outside(site: Path) -> None:
    for path in site.rglob("*.html"):
        for address in Page(path).loaded:
            assert not urlparse(address).netloc, f"{path.name} loads {address}"


def test_each_chapter_has_a_notebook_and_its_claims_are_listed(build: Path, shared: Path) -> None:
    claims_page = (build / "html/reference/claims.html").read_text(encoding="utf-8")
    for chapter in BOOK.glob("[0-9]*/[0-9][0-9]_*.md"):
        name = chapter.relative_to(BOOK).with_suffix("")
        notebook = json.loads((build / f"html/notebooks/{name}.ipynb").read_text(encoding="utf-8"))
        assert "%pip install" in "".join(notebook["cells"][0]["source"])
        assert any(cell["cell_type"] == "code" and cell["outputs"] for cell in notebook["cells"])
        words = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
        assert not [each for each in words if re.search(r":::|\{eval\}`|\{cite\}`", each)], name
        assert f"notebooks/{name}.ipynb" in (build / f"html/{name}.html").read_text(encoding="utf-8")
        executed = json.loads((shared / f"executed/tiny/{str(name).replace('/', '--')}.json").read_text("utf-8"))
        for claim in executed["claims"]:
            assert claim["id"] in claims_page, f"{claim['id']} is not on the page of claims"


def test_figures_are_on_the_page(site: Path) -> None:
    for chapter in BOOK.glob("[0-9]*/[0-9][0-9]_*.md"):
        drawn = len(re.findall(r"^[^#\n]*plt\.subplots\(", chapter.read_text(encoding="utf-8"), flags=re.M))
        page = (site / chapter.relative_to(BOOK).with_suffix(".html")).read_text(encoding="utf-8")
        figures = len(re.findall(r'<img[^>]+src="[^"]*_images/|<svg [^>]*role="img"', page))
        figures -= page.count('<div class="narrow">')  # the same figure for a phone
        assert figures >= drawn, f"{chapter.name} draws {drawn} figures, its page shows {figures}"


def test_the_epub_is_well_formed_and_needs_no_script(build: Path) -> None:
    (path,) = (build / "epub").glob("*.epub")
    formulas = 0
    with zipfile.ZipFile(path) as book:
        assert book.namelist()[0] == "mimetype"
        for name in book.namelist():
            if name.endswith(".xhtml"):
                tree = ElementTree.fromstring(book.read(name))
                assert not list(tree.iter("{http://www.w3.org/1999/xhtml}script")), f"{name} has a script"
                formulas += len(list(tree.iter("{http://www.w3.org/1998/Math/MathML}math")))
    assert formulas > 20
    assert "has no MathML" not in (build / "warnings").read_text()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium without a screen."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed, so the site is not looked at")
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-background-networking"]
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield running
        running.close()


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])  # no width depends on the colours
def test_pages_in_a_browser(site: Path, browser: Any, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    outside: list[str] = []
    errors: list[str] = []
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else outside.append(r.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    pages = [path for path in sorted(site.rglob("*.html")) if not {"_modules", "_static"} & set(path.parts)]
    for path in pages:
        page.goto(path.as_uri())
        page.evaluate("window.MathJax && MathJax.startup && MathJax.startup.promise.then(() => true)")
        written = page.locator("span.math, div.math").count()
        drawn = page.locator("mjx-container").count()
        assert drawn >= written, f"{path.name}: {written} formulas written, {drawn} drawn"
        assert page.locator("mjx-merror, [data-mml-node='merror']").count() == 0, f"{path.name}: a formula is broken"
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{path.name} is {wide} px wider than {width} px"
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert page.goto((site / "reference/notation.html").as_uri()) is not None
    page.wait_for_selector("mjx-container")
    context.close()
    assert not outside, outside
    assert not errors, errors


@pytest.mark.parametrize(("asked", "first"), [("KV cache", "The KV cache"), ("AdamW", "AdamW"), ("softmax", "")])
def test_search_works_from_disk_and_puts_the_chapter_first(site: Path, browser: Any, asked: str, first: str) -> None:
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((site / "search.html").as_uri() + f"?q={asked.replace(' ', '+')}")
    page.wait_for_selector("#search-results li a", timeout=10_000)
    page.wait_for_function("document.querySelector('#search-progress')?.innerText.trim() !== 'Preparing search...'")
    assert page.locator("#search-results li a").count() >= 2
    found = page.locator("#search-results li a").first.inner_text()
    assert re.fullmatch(rf"\d\.\d\d .*{first}.*", found), found
    assert not errors, errors
    page.close()
