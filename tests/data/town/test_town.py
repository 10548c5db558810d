"""The town: the same from a seed, nothing held out in what is taught; every wording reads back as what was told."""

import random
import re
from itertools import islice, pairwise

import pytest

from insideout.data.suite import SPLITS
from insideout.data.town.instructions import WEIGHTS, Town
from insideout.data.town.language import Heard, read
from insideout.data.town.stories import stories, story_of
from insideout.data.town.world import ALL_OBJECTS, HELD, PREPOSITION, PRONOUN, Event, Impossible, State, split_of_pair
from insideout.errors import BadInput


def text_of(question):
    return " ".join([*(turn.content for turn in question.prompt), question.truth.answer])


DRAWN = {split: list(islice(Town().stream(split, 1), 300)) for split in SPLITS}


def test_no_held_out_name_or_object_stands_in_what_is_taught_to_answer():
    for split, others in {"train": ("development", "test"), "development": ("test",)}.items():
        forbidden = {word for word, where in HELD.items() if where in others}
        taught = [" ".join(turn.content for turn in talk) for talk in islice(Town().demonstrations(split, 2), 300)]
        for text in [*map(text_of, DRAWN[split]), *taught]:
            assert not forbidden & set(re.findall(r"\w+", text)), text


def test_every_name_and_object_comes_up_in_the_stories_of_every_split():
    """A base model has read them all: else their tokens would mean nothing."""
    for split in SPLITS:
        seen = set(re.findall(r"\w+", " ".join(islice(stories(split, 0), 6000))))
        assert len(HELD.keys() - seen) < 0.01 * len(HELD)


def test_more_is_asked_about_a_story_and_every_answer_is_right():
    town, n_turns, n_untold = Town(), [], 0
    for question, talk in zip(town.stream("train", 4), town.demonstrations("train", 4), strict=False):
        assert talk[: len(question.prompt)] == question.prompt
        n_turns.append(len(talk) // 2)
        assert not re.search(r"the \W|  ", " ".join(turn.content for turn in talk)), talk
        for asked, answered in zip(
            talk[len(question.prompt) + 1 :: 2], talk[len(question.prompt) + 2 :: 2], strict=True
        ):
            if "The story does not say." in answered.content or "not told" in answered.content:
                n_untold += 1
            else:
                heard = Heard(last=next((w for w in re.findall(r"[A-Z][a-z]+", asked.content) if w in PRONOUN), ""))
                heard.thing = next((w for w in re.findall(r"[a-z]+", asked.content) if w in ALL_OBJECTS), "")
                told = read(answered.content, heard)
                assert told and all(question.truth.state.says(each) for each in told), talk
        if len(n_turns) == 300:
            break
    assert max(n_turns) == 4 and 2 < sum(n_turns) / 300 < 4
    assert 100 < n_untold < 600


def test_no_held_out_pair_stands_in_training():
    """Read back from the text: where objects are, what people feel and count, the items of lists."""
    for split, others in {"train": ("development", "test"), "development": ("test",)}.items():
        for question in DRAWN[split]:
            assert not [pair for pair in question.truth.pairs if split_of_pair(pair) in others]
    source = random.Random(0)
    for _ in range(300):
        state, heard = State(), Heard()
        for sentence in story_of(source, "train").sentences:
            for event in read(sentence, heard):
                state.apply(event)
            assert {split_of_pair(pair) for pair in state.pairs()} <= {"train"}, sentence


def test_something_is_held_out_in_every_test_question():
    kinds = {"word": 0, "pair": 0}
    for question in DRAWN["test"]:
        words = {HELD.get(word) for word in re.findall(r"\w+", text_of(question))} & {"test"}  # as a reader sees it
        pairs = {split_of_pair(pair) for pair in question.truth.pairs} & {"test"}
        assert words or pairs, question.prompt
        kinds["word"] += bool(words)
        kinds["pair"] += not words
    assert min(kinds.values()) > 60, "both ways of holding out are common"


def test_something_is_held_out_in_every_test_story():
    source = random.Random(3)
    for _ in range(300):
        story = story_of(source, "test")
        words = {HELD.get(word) for word in re.findall(r"\w+", story.text)} & {"test"}
        assert words or {split_of_pair(pair) for pair in story.pairs} & {"test"}, story.text


def test_splits_share_no_prompt():
    prompts = {split: {question.prompt for question in DRAWN[split]} for split in SPLITS}
    assert not prompts["train"] & prompts["test"] and not prompts["train"] & prompts["development"]
    assert not prompts["development"] & prompts["test"]
    for split in SPLITS:
        assert all(Town().split_of(question) == split for question in DRAWN[split])


def test_a_seed_gives_the_same_and_another_seed_something_else():
    assert Town().draw("test", 40, seed=3) == Town().draw("test", 40, seed=3)
    assert Town().draw("test", 20, seed=3) != Town().draw("test", 20, seed=4)
    assert list(islice(stories("train", 3), 20)) == list(islice(stories("train", 3), 20))
    first = Town(["where"]).draw("train", 1, seed=0)[0]
    assert first.prompt[0].content.endswith("?") or "." in first.prompt[0].content
    assert len({question.prompt for question in Town().draw("train", 200)}) == 200


@pytest.mark.parametrize("kind", WEIGHTS)
def test_right_answers_are_right_in_every_part(kind):
    for split in SPLITS:
        for question in islice(Town([kind]).stream(split, 7), 40):
            assert question.kind == kind and question.prompt[-1].role == "user"
            verdict = Town().judge(question, question.truth.answer)
            assert verdict["correct"] and verdict["stops"] and verdict["concise"] and verdict["readable"] == 1
            assert verdict["words"] in (1, None) and verdict["ending"] in (True, None)
            assert verdict["declined"] is (kind == "decline")


def test_every_story_reads_back_as_what_was_told():
    source, wordings = random.Random(1), set()
    for split in SPLITS:
        for _ in range(200):
            story, heard = story_of(source, split), Heard()
            assert len(story.sentences) == len(story.events)
            for sentence, event in zip(story.sentences, story.events, strict=True):
                assert read(sentence, heard) == [event], sentence
                wordings.add(event.what)
    assert wordings == {"is", "lies", "has", "counts", "feels", "goes", "takes", "leaves", "gives", "gains", "loses",
                        "hands"}  # fmt: skip


def test_a_pronoun_is_used_only_where_it_is_clear():
    source = random.Random(2)
    for _ in range(300):
        told = story_of(source, "train").sentences
        for before, sentence in pairwise(told):
            first = sentence.split()[0] if sentence.split()[0] not in ("Now", "So") else sentence.split()[1]
            if first.lower() in ("she", "he"):
                names = [word for word in re.findall(r"\w+", before) if word in PRONOUN]
                alike = {name for name in names if PRONOUN[name] == first.lower()}
                assert (
                    len(alike) == 1
                    or (not names and before.split()[0].lower() == first.lower())
                    or ({"She", "He", "she", "he"} & set(before.split()))
                ), (before, sentence)


def test_what_follows_is_known_by_hand():
    state = State()
    for event in (
        Event("is", who="Anna", place="hall"), Event("lies", thing="ball", place="hall"),
        Event("takes", who="Anna", thing="ball"), Event("goes", who="Anna", place="barn"),
    ):  # fmt: skip
        state.apply(event)
    assert state.place_of("ball") == "barn" and state.value(Event("has", thing="ball")) == "Anna"
    state.apply(Event("leaves", who="Anna", thing="ball"))
    state.apply(Event("goes", who="Anna", place="hall"))
    assert state.place_of("ball") == "barn" and state.value(Event("has", thing="ball")) == "nobody"
    assert state.says(Event("is", who="Ben", place="hall")) is None, "it was not told"
    with pytest.raises(Impossible):
        state.apply(Event("takes", who="Anna", thing="ball"))
    with pytest.raises(Impossible):
        state.copy().apply(Event("goes", who="Anna", place="hall"))


def test_words_are_of_one_kind():
    groups = [set(PRONOUN), set(ALL_OBJECTS), set(PREPOSITION)]
    assert sum(map(len, groups)) == len(set().union(*groups)) and len(PRONOUN) > 900


def test_a_kind_that_there_is_not_is_refused():
    with pytest.raises(BadInput, match="there are where, who"):
        Town(["wheer"])
    with pytest.raises(BadInput, match="No kind"):
        Town([])


def test_demonstrations_give_a_right_answer():
    for question, talk in zip(
        islice(Town().stream("train", 9), 30), islice(Town().demonstrations("train", 9), 30), strict=True
    ):
        n = len(question.prompt)
        assert talk[:n] == question.prompt and talk[n] == ("assistant", question.truth.answer)
        assert [turn.role for turn in talk] == ["user", "assistant"] * (len(talk) // 2)
