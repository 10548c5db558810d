"""Claims fail when their bound fails, and are never passed at another scale."""

import json
import math
import pickle

import pytest

from insideout.errors import BadInput
from insideout.lab import claims as module
from insideout.lab import difference, interval
from insideout.lab.claims import Claimed, ClaimFailed, claim, claim_less, claim_mean, recorded
from insideout.recipes.origin import Measured, Origin, measured
from insideout.words import in_prose, rounded


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("INSIDEOUT_CLAIMS", str(tmp_path))
    monkeypatch.setenv("INSIDEOUT_SCALE", "laptop")
    module._made.clear()
    return tmp_path


def test_a_bound_that_holds_is_recorded(place):
    speedup = claim("cache.speedup", 5.31, at_least=3, unit="×", seeds=[0, 1], interval=(5.1, 5.5))
    assert (
        str(speedup) == repr(speedup) == f"{speedup}" == "5.3×" and speedup * 2 == 10.62 and f"{speedup:.2f}" == "5.31"
    )
    assert ">5.3×<" in speedup._repr_html_() and "5.3×; claimed: at least 3×; checked" in speedup._repr_html_()
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
    assert claim("some.other", True, at="tiny").status == "passed"


def test_what_could_not_be_measured_is_not_checked():
    for name, bounds in (("some.thing", {"at_least": 3}), ("some.truth", {})):
        claimed = claim(name, None, note="the file is not here", **bounds)
        assert claimed.status == "not checked" and str(claimed) == "not measured"
    assert [record["status"] for record in recorded()] == ["not checked"] * 2
    assert [record["shown"] for record in recorded()] == ["not measured"] * 2
    with pytest.raises(ClaimFailed):
        claim("some.number", float("nan"), at_least=3)


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
    gap = claim("some.gap", 1.3e-16, at_most=1e-12)  # rounding: the order in the sentence, the number in the tooltip
    assert ">10⁻¹⁶<" in gap._repr_html_() and "1.30e-16; claimed: at most 1e-12" in gap._repr_html_()
    assert (in_prose("4.77e-07 nats"), in_prose("-2.6e-12"), in_prose("1,234")) == (
        "4.77 × 10⁻⁷ nats",
        "−10⁻¹²",
        "1,234",
    )
    again = pickle.loads(pickle.dumps(Claimed(0.5, "s")))
    assert (again, again.unit) == (0.5, "s")


OLD, OLDER = Origin("a machine", "2020-02-02T00:00:00+00:00"), Origin("another machine", "2010-01-01T00:00:00+00:00")


def last():
    return json.loads(max(module.claims_folder().glob("*.json"), key=lambda path: path.stat().st_mtime_ns).read_text())


def said():
    record = last()
    return record["machine"], record["date"]


def test_a_claim_is_of_the_time_and_place_of_its_measurement():
    stored = measured({"loss": [2.0, 3.0], "n": 4}, [OLD])
    claim("one.number", stored["loss"][0], at_least=1)
    assert said() == OLD
    claim("by.arithmetic", 100 * (1 - stored["loss"][0] / 5) ** 2 + abs(-stored["loss"][1]), at_least=1)
    assert said() == OLD
    claim("in.rounding", round(stored["loss"][0], 1) + max(stored["loss"]) + sum(stored["loss"]), at_least=1)
    assert said() == OLD
    claim_mean("a.mean", stored["loss"], at_least=1)
    assert said() == OLD
    claim_less("a.difference", [0.0, 1.0], stored["loss"])
    assert said() == OLD
    claim("an.interval", interval(stored["loss"]).half, at_least=0)
    assert said() == OLD
    claim("another.interval", float(3), at_least=difference(stored["loss"], [0.0, 0.5]).low)
    assert said() == OLD
    claim("a.boolean", stored["n"] == 4, measured=stored)
    assert said() == OLD
    claim("elsewhere", math.log(stored["loss"][0]), at_least=0, measured=stored["loss"])
    assert said() == OLD


def test_a_claim_of_now_is_of_now():
    claim("of.now", 3.0, at_least=1)
    machine, date = said()
    assert machine == last()["measured"][0]["machine"] and date > "2026" and "a machine" not in machine


def test_of_several_origins_the_oldest_counts_and_all_are_kept():
    claim("of.two", Measured(1.0, (OLD,)) + Measured(2.0, (OLDER,)), at_least=1)
    assert said() == ("another machine; a machine", OLDER.date)
    assert [each["date"] for each in last()["measured"]] == [OLDER.date, OLD.date]


def test_measured_numbers_are_floats():
    number = Measured(2.5, (OLD,))
    assert number == 2.5 and hash(number) == hash(2.5) and f"{number:.2f}" == "2.50" and repr(number) == "2.5"
    assert json.dumps([number]) == "[2.5]" and pickle.loads(pickle.dumps(number)).origins == (OLD,)
    assert (2 - number, 2**number, 7 // number, 7 % number, -number) == (-0.5, 2**2.5, 2.0, 2.0, -2.5)
    assert all(type(each) is Measured for each in (2 - number, number * 2, number / 2, 2**number, round(number, 1)))
    assert round(number) == 2 and type(round(number)) is int and number < 3 and not number > 3
    with pytest.raises(TypeError):
        number + "a"
    with pytest.raises(ZeroDivisionError):
        number / 0


def test_two_claims_of_one_name_are_refused(place):
    def page():
        claim("some.thing", 4.0, at_least=3)

    page()
    page()  # a cell that is run again
    with pytest.raises(BadInput, match=r"some.thing.*twice"):
        claim("some.thing", 4.0, at_least=2)
    assert recorded()[0]["at_least"] == 3


def test_a_loop_may_claim_under_many_names():
    for kind in ("a", "b"):
        claim("some." + kind, 4.0, at_least=3)
    assert len(recorded()) == 2
