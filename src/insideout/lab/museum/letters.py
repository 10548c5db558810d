"""A small world to break things in: put the letters of a word in order.

    fcab -> abcf

A word has one to five different letters of ten. A small transformer learns it in seconds, the right answer is always
known, and held-out words are those that were never learned from. Used by the broken trainers of parts 3 and 4.
"""

import random
from collections.abc import Iterator, Sequence

from insideout.data.conversations import Pair
from insideout.data.suite import Message, Question, Split, Suite, Verdict
from insideout.finetuning.chat import ChatFormat, with_chat_tokens
from insideout.transformer.config import GPTConfig
from insideout.transformer.tokenizer import CharacterTokenizer

ALPHABET, LONGEST = "abcdefghij", 5


class Letters(Suite):
    """Words whose letters are to be put in order."""

    name = "letters"
    parts = ("correct", "near")
    max_new_tokens = LONGEST + 3

    def propose(self, random: random.Random) -> Question:
        word = "".join(random.sample(ALPHABET, random.randint(1, LONGEST)))
        return Question((Message("user", word),), truth="".join(sorted(word)))

    def judge(self, question: Question, answer: str) -> Verdict:
        """Is it right, and which share of the places is."""
        return Verdict({"correct": is_right(answer, question.truth), "near": nearness(answer, question.truth)})

    def conversations(self, split: Split, seed: int) -> Iterator[list[Message]]:
        """Questions with their right answers, without end."""
        for question in self.stream(split, seed):
            yield [*question.prompt, Message("assistant", question.truth)]

    def pairs(self, split: Split, n: int, seed: int) -> list[Pair]:
        """Right answers beside wrong ones: two letters have changed places, one is lost, or one is there twice."""
        source = random.Random(f"pairs {split} {seed}")
        found = []
        for question in self.stream(split, seed):
            right = question.truth
            if len(right) > 1 and isinstance(question.prompt, tuple):
                found.append(Pair(question.prompt, right, spoiled(right, source)))
            if len(found) == n:
                return found
        raise AssertionError("a stream never ends")


def is_right(answer: str, truth: str) -> bool:
    """Every letter once, in order, and nothing else."""
    return answer == truth


def nearness(answer: str, truth: str) -> float:
    """The share of places that hold the right letter; of too long an answer, its places count."""
    return sum(a == b for a, b in zip(answer, truth, strict=False)) / max(len(answer), len(truth))


def spoiled(word: str, source: random.Random) -> str:
    """A wrong answer that is nearly right."""
    letters, i = list(word), source.randrange(len(word) - 1)
    how = source.randrange(3)
    if how == 0:
        letters[i], letters[i + 1] = letters[i + 1], letters[i]
    elif how == 1:
        del letters[i]
    else:
        letters.insert(i, letters[i])
    return "".join(letters)


def chat_format() -> ChatFormat:
    """Letters as tokens, and the book's own template."""
    return ChatFormat(with_chat_tokens(CharacterTokenizer(list(ALPHABET))))


def model_config(vocab_size: int) -> GPTConfig:
    """A small model; its learned positions notice when they are counted wrongly."""
    return GPTConfig(vocab_size, context_length=48, d_model=64, n_layers=2, n_heads=4, positions="learned")


def texts(questions: Sequence[Question]) -> list[str]:
    """What was asked, as a reader sees it."""
    return [question.prompt if isinstance(question.prompt, str) else question.prompt[-1].content
            for question in questions]  # fmt: skip
