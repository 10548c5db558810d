"""Drawings are well-formed, say what they show, and hold the page's own colours; live figures keep their data whole."""

import json
import re
from xml.etree import ElementTree

import pytest

from insideout.errors import BadInput
from insideout.gradients.example import CONFIG
from insideout.lab.figures import (
    BLUE,
    Drawing,
    Step,
    arrows,
    cache_steps,
    frames,
    graph,
    heads,
    induction,
    learned_tokens,
    model_map,
    patching,
    reads,
    temperature,
)
from insideout.lab.figures.live import ON_SITE
from insideout.lab.figures.maps import PIECES
from insideout.lab.findings import say
from insideout.transformer.config import GPTConfig

WORDS = ["cats", " chase", "\n"]
PATTERN = [[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.125, 0.375, 0.5]]


def parsed(drawing: Drawing) -> ElementTree.Element:
    return ElementTree.fromstring(drawing.svg())


def test_a_drawing_is_svg_that_says_what_it_shows():
    d = Drawing(200, 100, 'a < b & "c"')
    box = d.box(10, 10, 80, 30, "x < y", "2×3", lit=True)
    d.arrow(box.right, (190, 25), "q · k")
    d.curve(box.top, (150, 10))
    d.matrix(10, 50, 2, 2, values=[[1, -1], [0.5, 0.5]], row_names="ab", column_names="cd", title="t", digits=1)
    assert [each.width for each in d.tokens(100, 60, ["a", "longer word"])][1] > 60
    root = parsed(d)
    assert root.attrib["aria-label"] == 'a < b & "c"' and root.attrib["role"] == "img"
    assert repr(d) == '[a < b & "c"]'
    assert "q · k" in "".join(root.itertext()) and "longer·word" in "".join(root.itertext())
    assert f"var(--figure-blue, {BLUE})" in d.svg() and "currentColor" in d.svg()


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("config", [CONFIG, GPTConfig(mlp="swiglu", norm="rmsnorm", positions="rope")])
def test_every_piece_of_the_map_can_be_lit(piece, config):
    plain, lit = model_map(config), model_map(config, (piece,))
    for before, after in ((plain.wide, lit.wide), (plain.narrow, lit.narrow)):
        assert before.svg() != after.svg(), f"{piece} looks the same, lit or not"
        root = parsed(after)
        width, height = (float(x) for x in root.attrib["viewBox"].split()[2:])
        for rect in root.iter("{http://www.w3.org/2000/svg}rect"):
            x, y, w, h = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
            assert x >= 0 and x + w <= width and y >= 0 and y + h <= height, "a box stands outside the picture"
    assert plain.narrow.width <= 390
    with pytest.raises(ValueError, match="there is no piece 'brain'"):
        model_map(config, ("brain",))


def data_of(live) -> dict:
    [found] = re.findall(r'<script type="application/json">(.*?)</script>', live._repr_html_(), flags=re.S)
    return json.loads(found)


def test_a_live_figure_holds_its_data_and_a_still(monkeypatch):
    live = reads([*WORDS[:2], "</script>"], {"before": {"head 0": PATTERN}, "after": {"head 0": PATTERN}})
    data = data_of(live)
    assert data["words"][2] == "</script>" and data["start"] == 2
    assert [state["name"] for state in data["states"]] == ["before", "after"]
    assert data["states"][1]["heads"][0]["rows"] == PATTERN
    assert "most, with weight 0.50" in repr(live) and '<div class="still">' in live._repr_html_()
    assert "function wake" in live._repr_html_()
    monkeypatch.setenv(ON_SITE, "1")
    assert "function wake" not in live._repr_html_()
    with pytest.raises(ValueError, match="not 2×2"):
        reads(WORDS[:2], {"after": {"head 0": PATTERN}})


def test_frames_and_temperature():
    first, second = Drawing(10, 10, "one"), Drawing(10, 10, "two")
    live = frames([first, second], ["a", "b"])
    assert data_of(live)["captions"] == ["a", "b"] and repr(live) == "[two]"
    assert repr(frames([first, second], still=(0, 1))) == "[one]\n[two]"
    with pytest.raises(ValueError, match="2 drawings and 1 captions"):
        frames([first, second], ["a"])
    live = temperature(["a", "b", "c"], [1.0, 3.0, 2.0], keep=2)
    assert data_of(live) == {"words": ["b", "c"], "logits": [0.0, -1.0, -2.0], "start": 1.0}
    assert "0.665" in live.stills[0].svg()  # 1 / (1 + e^-1 + e^-2)


@pytest.mark.parametrize(
    ("samples", "outcome"), [([1.0, 1.1, 0.9], "above"), ([-1.0, -1.1, -0.9], "below"), ([-1.0, 1.0, 0.1], "unclear")]
)
def test_the_sentence_is_chosen_by_the_interval(samples, outcome):
    found = say(samples, above="It helps.", below="It harms.", unclear="Nobody knows.")
    assert found.outcome == outcome
    assert found == {"above": "It helps.", "below": "It harms.", "unclear": "Nobody knows."}[outcome]
    with pytest.raises(BadInput, match="'unclear' is empty"):
        say(samples, above="It helps.", below="It harms.", unclear=" ")


def inside(drawing: Drawing) -> bool:
    """Do all boxes and words stand within the picture?"""
    root = parsed(drawing)
    width, height = (float(x) for x in root.attrib["viewBox"].split()[2:])
    places = [(float(e.attrib["x"]), float(e.attrib["y"])) for e in root.iter() if "x" in e.attrib]
    return all(0 <= x <= width and 0 <= y <= height for x, y in places)


def test_vectors_are_drawn_with_their_products():
    d = arrows({"q": (2, 0), "k": (1, 1), "l": (-2, 0.5)}, lit="q")
    assert inside(d) and "k: 2" in d.svg() and "l: -4" in d.svg()
    with pytest.raises(ValueError, match="two numbers"):
        arrows({"q": (1, 2, 3)})


def test_the_cache_grows_by_a_column():
    drawings, captions = cache_steps(["a", "b", "c", "d"], prompt=2)
    assert len(drawings) == len(captions) == 3 and all(map(inside, drawings))
    boxes = [each.svg().count("<rect") for each in drawings]  # keys, values, and what the queries read
    assert boxes == [2 + 2 + 3, 3 + 3 + 3, 4 + 4 + 4]
    with pytest.raises(ValueError, match="prompt of 4"):
        cache_steps(["a", "b", "c", "d"], prompt=4)


def test_heads_patching_and_induction():
    for n in (1, 2, 6):
        assert inside(heads(n, 8)) and f"T×{8 * n}" in heads(n, 8).svg()
    d = patching(["the", "cat", "sat"], ["the", "dog", "sat"], layer=1, position=1)
    assert inside(d) and d.svg().count("stroke-width: 2.4") == 1 + 1 + 2 + 1  # two places, two touched, the arrow
    d = induction(["cats", "chase", "cats"], 0, 2)
    assert inside(d) and "'chase', which followed it, is copied" in repr(d)
    with pytest.raises(ValueError, match="both positions"):
        induction(["a", "b", "c"], 0, 2)
    with pytest.raises(ValueError, match="one length"):
        patching(["a"], ["a", "b"], 0, 0)


def test_a_graph_shows_values_and_gradients():
    steps = [Step("w", 3.0, -8.0), Step("x", 2.0), Step("w x", 6.0, -4.0, ("w", "x")), Step("L", 4.0, 1.0, ("w x",))]
    d = graph(steps, lit=("L",))
    text = "".join(parsed(d).itertext())
    assert inside(d) and "∂ℒ: −8" in text and text.count("∂ℒ") == 3
    with pytest.raises(ValueError, match="not a step before"):
        graph([Step("y", 1.0, None, ("x",))])


def test_what_is_learned_is_filled_and_long_rows_go_on_below():
    row = [("<|user|>", 0.0), ("a b\n", 0.1), ("In", 1.0), ("<|end|>", 1.0)]
    d = learned_tokens({"short": row, "long": row * 8}, width=200)
    root = parsed(d)
    rects = list(root.iter("{http://www.w3.org/2000/svg}rect"))
    assert [rect.attrib["style"].count("fill-opacity: 0.32") for rect in rects] == [0, 0, 1, 1] * 9
    assert [rect.attrib["style"].startswith("fill: none") for rect in rects] == [True, False, False, False] * 9
    width, height = (float(x) for x in root.attrib["viewBox"].split()[2:])
    for rect in rects:
        x, y, w, h = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        assert x >= 0 and x + w <= width and y + h <= height
    assert len({rect.attrib["y"] for rect in rects}) > 8, "rows are broken"
    assert repr(d) == "[short: 3 of 4 tokens are learned; long: 24 of 32 tokens are learned.]"
    assert "a·b↵" in "".join(root.itertext())
