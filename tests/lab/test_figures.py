"""The figures of part 1 are drawn with matplotlib, and printed without it."""

import builtins
import math
import re

import pytest

from insideout.lab.figures import Map, Table, bars, curves, flow, heat_maps

MAP = Map("scores", [[0.25, -math.inf], [0.0, -1.5]], ["cats", "chase"], ["cats", "chase"])


def draw_all():
    heat_maps(MAP, Map("x", [[1e-9, 12.0]]))
    curves({"loss": [2.0, 1.0, 0.5]}, "step", "loss (nats)", levels={"floor": 0.1})
    bars({"ours": 1.0, "theirs": (2.0, 1.5, 2.5)}, "seconds")
    flow([("x", "8×12"), ("q", "8×6")], back=["dq Wᵀ"])


@pytest.fixture
def no_matplotlib(monkeypatch):
    original = builtins.__import__

    def without(name, *rest, **named):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name=name)
        return original(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)


def test_printed_without_matplotlib(no_matplotlib, capsys):
    draw_all()
    printed = capsys.readouterr().out
    for expected in ("scores   2×2", "−∞", "−1.50", "1e−9", "loss (nats), by step", "floor: 0.1", "[1.5, 2.5]",
                     "x (8×12) → q (8×6)", "dq ← [dq Wᵀ] ← dx"):  # fmt: skip
        assert expected in printed, expected


def test_drawn_with_matplotlib(monkeypatch, capsys):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    shown = []
    monkeypatch.setattr(pyplot, "show", lambda: shown.append([t.get_text() for t in pyplot.gcf().findobj()
                                                              if hasattr(t, "get_text")]))  # fmt: skip
    draw_all()
    assert len(shown) == 4 and capsys.readouterr().out == ""
    assert {"−∞", "0", "−1.50", "scores   2×2"} <= set(shown[0])
    assert {"step", "loss (nats)", "floor"} <= set(shown[1])
    pyplot.close("all")


def test_a_table_reads_as_text_and_as_html():
    table = Table(["name", "error"], [["lm_head", 3e-16], ["<b>", 0.5]])
    assert repr(table).splitlines()[1].split() == ["lm_head", "3.00e-16"]
    assert "&lt;b&gt;" in table._repr_html_()
    with pytest.raises(ValueError, match="2 headings and a row of 1"):
        Table(["a", "b"], [["x"]])


def test_flow_counts_its_arrows():
    with pytest.raises(ValueError, match="1 arrows back, not 2"):
        flow([("x", "1"), ("y", "1")], back=["a", "b"])


def test_a_wide_figure_has_a_form_for_phones_and_stays_as_it_was():
    import matplotlib.pyplot as plt

    from insideout.lab.figures.style import PHONE_WIDTH, svg_of

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), sharey=True, layout="constrained")
    left.plot([0, 1], [0, 1])
    right.plot([0, 1], [1, 0])
    before = figure.get_size_inches().tolist(), [each.get_subplotspec() for each in (left, right)]
    text = svg_of(figure)
    (wide, tall), (narrow, high) = (
        (float(width), float(height)) for width, height in re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    )
    assert wide > 1.5 * narrow and high > 1.5 * tall and narrow < 1.1 * 72 * PHONE_WIDTH
    assert "min-width: 0" in text.split('class="narrow"')[1], "a phone would scroll it"
    assert before == (figure.get_size_inches().tolist(), [each.get_subplotspec() for each in (left, right)])
    assert right.yaxis.get_tick_params().get("labelleft", True) is False, "numbers were shown for the phone alone"
    plt.close(figure)


def test_a_figure_of_a_phones_width_is_drawn_once_and_so_is_a_drawing():
    import matplotlib.pyplot as plt

    from insideout.lab.figures.style import PHONE_WIDTH, svg_of

    figure, _ = plt.subplots(figsize=(PHONE_WIDTH, 2))
    assert svg_of(figure).count("<svg") == 1
    plt.close(figure)
    drawing, axes = plt.subplots(figsize=(9, 2))
    axes.set_axis_off()
    assert svg_of(drawing).count("<svg") == 1, "words in boxes would be pushed into each other"
    plt.close(drawing)
