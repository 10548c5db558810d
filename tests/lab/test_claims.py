"""Claims fail when their bound fails, and are never passed at another scale."""

import json
import pickle

import pytest

from insideout.errors import BadInput
from insideout.lab.claims import Claimed, ClaimFailed, claim, recorded
from insideout.words import rounded


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("INSIDEOUT_CLAIMS", str(tmp_path))
    monkeypatch.setenv("INSIDEOUT_SCALE", "laptop")
    return tmp_path


def test_a_bound_that_holds_is_recorded(place):
    speedup = claim("cache.speedup", 5.31, at_least=3, unit="×", seeds=[0, 1], interval=(5.1, 5.5))
    assert (
        str(speedup) == repr(speedup) == f"{speedup}" == "5.3×" and speedup * 2 == 10.62 and f"{speedup:.2f}" == "5.31"
    )
    assert ">5.3×<" in speedup._repr_html_()
    [record] = recorded()
    assert record["status"] == "passed" and record["value"] == 5.31 and record["interval"] == [5.1, 5.5]
    assert record["machine"] and record["date"] and record["scale"] == "laptop"
    assert json.loads((place / "cache.speedup--laptop.json").read_text()) == record


@pytest.mark.parametrize(
    ("value", "bounds"),
    [(2.9, {"at_least": 3}), (3.1, {"at_most": 3}), (float("nan"), {"at_least": 3}), (False, {}), (9, {"at_most": 8})],
)
def test_a_bound_that_fails_raises(value, bounds):
    with pytest.raises(ClaimFailed, match="does not hold"):
        claim("some.thing", value, **bounds)
    assert recorded()[0]["status"] == "failed"


def test_another_scale_is_not_checked(monkeypatch):
    monkeypatch.setenv("INSIDEOUT_SCALE", "tiny")
    for value, bounds in ((2.0, {"at_least": 3}), (4.0, {"at_least": 3}), (True, {})):
        assert claim("some.thing", value, **bounds).status == "not checked"
        assert recorded()[0]["status"] == "not checked"
    assert claim("some.thing", True, at="tiny").status == "passed"


def test_records_of_two_scales_stand_side_by_side(monkeypatch):
    claim("some.thing", 4.0, at_least=3)
    monkeypatch.setenv("INSIDEOUT_SCALE", "tiny")
    claim("some.thing", 1.0, at_least=3)
    assert {record["scale"]: record["status"] for record in recorded()} == {"laptop": "passed", "tiny": "not checked"}


def test_claims_that_say_nothing_are_refused():
    for id, value, bounds in (("no.bound", 1.0, {}), ("a/b", 1.0, {"at_least": 0}), ("a.b", 1.0, {"at": "moon"})):
        with pytest.raises(BadInput):
            claim(id, value, **(bounds | {"at_least": 0} if "at" in bounds else bounds))
    assert recorded() == []


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [(5.31, 2, "5.3"), (212.7, 2, "213"), (1.5034, 3, "1.50"), (0.01234, 3, "0.0123"), (12345.6, 3, "12,346"),
     (3.0, 3, "3"), (2e-9, 2, "2.0e-09"), (0.0, 3, "0"), (float("inf"), 3, "∞")],
)  # fmt: skip
def test_rounding(value, digits, shown):
    assert rounded(value, digits) == shown


def test_booleans_units_and_pickling():
    assert str(claim("some.truth", True)) == "true"
    assert str(Claimed(0.5, "s")) == "0.500\u202fs"
    again = pickle.loads(pickle.dumps(Claimed(0.5, "s")))
    assert (again, again.unit) == (0.5, "s")
