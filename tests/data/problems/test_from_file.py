"""Problems from files: a reader's own, and GSM8K where this machine has it."""

import json

import pytest

from insideout.data.fetch import data_folders
from insideout.data.problems import FromFile, gsm8k
from insideout.data.problems.from_file import read_problems
from insideout.errors import BadInput


def written(path, *records):
    path.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in records), "utf-8")
    return path


def asked(n):
    return [{"question": f"How much is {i} + 1?", "answer": i + 1} for i in range(n)]


def test_questions_of_a_file_are_split_and_judged(tmp_path):
    suite = FromFile(written(tmp_path / "mine.jsonl", *asked(200)))
    drawn = {split: suite.draw(split, 10) for split in ("train", "development", "test")}
    assert len({question.prompt for some in drawn.values() for question in some}) == 30
    for split, some in drawn.items():
        for question in some:
            assert suite.split_of(question) == split
            assert suite.judge(question, suite.solution(question)).parts == dict.fromkeys(suite.parts, True)
            assert not suite.judge(question, "#### 999")["lenient"]
    assert sum(len(suite._questions[split]) for split in drawn) == 200
    with pytest.raises(BadInput, match="no more than about"):
        suite.draw("test", 200)


def test_every_question_comes_before_any_comes_again(tmp_path):
    suite = FromFile(written(tmp_path / "a.jsonl", *asked(5)), test=written(tmp_path / "b.jsonl", *asked(20)[10:]))
    assert len(suite.draw("test", 10, seed=3)) == 10
    assert suite.draw("test", 10, seed=3) != suite.draw("test", 10, seed=4)


def test_answers_are_numbers_or_solutions(tmp_path):
    records = [
        {"question": "a", "answer": 7}, {"question": "b", "answer": 0.5}, {"question": "c", "answer": "1,200"},
        {"question": "d", "answer": "3 - 1 = <<3-1=2>>2 are left.\nThat is it.\n#### 2"},
    ]  # fmt: skip
    path = written(tmp_path / "mine.jsonl", *records, "", records[0])
    assert read_problems(path) == [("a", "7"), ("b", "0.5"), ("c", "1,200"), ("d", records[3]["answer"])]
    suite = FromFile(path, cue="Think.", chat=False)
    question = suite._asked(*read_problems(path)[3])
    assert question.prompt == "d Think.\n" and question.kind == "2 steps"
    assert suite.solution(question) == "3 - 1 = 2 are left.\nThat is it.\n#### 2"
    assert [suite.solution(suite._asked(*each)) for each in read_problems(path)[:3]] == [
        "#### 7",
        "#### 0.5",
        "#### 1,200",
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"question": "a"}', "line 2 has the fields question: it needs a question and an answer"),
        ('{"question": "a", "answer": ""}', "line 2 has no answer"),
        ('{"question": "a", "answer": null}', "line 2 has no answer"),
        ('{"question": "a", "answer": true}', "line 2 has no answer"),
        ('{"question": "a", "answer": NaN}', "line 2: The gold answer 'nan' cannot be read"),
        ('{"question": "a", "answer": "blue"}', "line 2: The gold answer 'blue' cannot be read"),
        ('{"question": "a", "answer": "7 or 8"}', "line 2: The gold answer '7 or 8' cannot be read"),
        ('{"question": " ", "answer": 7}', "line 2 has an empty question"),
        ('{"question": 3, "answer": 7}', "line 2 has an empty question, or one that is no text"),
        ('["a", 7]', "line 2 holds list"), ('{"question": ', "line 2 is not JSON"),
        ('{"question": "How much is 0 + 1?", "answer": 2}', "line 2 asks what an earlier line asks"),
    ],
)  # fmt: skip
def test_a_line_that_is_wrong_is_named(tmp_path, line, says):
    with pytest.raises(BadInput, match=says):
        FromFile(written(tmp_path / "mine.jsonl", *asked(1), line))


def test_files_that_are_wrong_are_named(tmp_path):
    with pytest.raises(BadInput, match=r"Could not read .*nowhere\.jsonl"):
        FromFile(tmp_path / "nowhere.jsonl")
    with pytest.raises(BadInput, match="is empty"):
        FromFile(written(tmp_path / "empty.jsonl"))
    one = written(tmp_path / "one.jsonl", *asked(1))
    with pytest.raises(BadInput, match="share 1 questions, such as 'How much is 0"):
        FromFile(one, test=one)
    with pytest.raises(BadInput, match="has no development questions"):
        FromFile(one, test=written(tmp_path / "two.jsonl", *asked(2)[1:])).draw("development", 1)


def test_gsm8k_as_it_was_published():
    if not any((folder / "gsm8k" / "test.jsonl").exists() for folder in data_folders()):
        pytest.skip("gsm8k/test.jsonl is not in a folder of INSIDEOUT_DATA")
    suite = gsm8k(cue="Think step by step.")
    assert len(suite._questions["test"]) == 1319
    assert 0.07 < len(suite._questions["development"]) / 7473 < 0.13
    assert len(suite._questions["train"]) + len(suite._questions["development"]) == 7473
    for question in suite.draw("test", 200):
        text = suite.solution(question)
        assert "<<" not in text and suite.judge(question, text).parts == dict.fromkeys(suite.parts, True)
        assert question.prompt[0].content.endswith("Think step by step.") and "step" in question.kind


def test_another_file_in_its_place_is_refused(tmp_path, monkeypatch):
    (tmp_path / "gsm8k").mkdir()
    written(tmp_path / "gsm8k" / "train.jsonl", *asked(3))
    monkeypatch.setenv("INSIDEOUT_DATA", str(tmp_path))
    with pytest.raises(BadInput, match="is not the published file"):
        gsm8k()
