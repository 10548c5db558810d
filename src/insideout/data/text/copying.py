"""A first suite of questions, for a model that only continues text: does it copy what it has just read?

    prompt    w1 w2 … w16   (a blank line)   w1 … w10          answer wanted: w11 … w16

A passage from the corpus stands there once whole, then begins again; a model that looks back for the same words and
goes on as the text went on there continues it word by word (induction, Olsson et al. 2022). That it does not just guess
well is shown by the control: the same beginning after another passage (kind "fresh" instead of "repeated").

Test and development passages come from the end of the corpus, which no model of this book was trained on, and stand
nowhere in the rest. Used in part 2.
"""

import random
import re
from collections.abc import Iterator

from insideout.data.suite import SPLITS, Question, Split, Suite, Verdict
from insideout.data.text.python_docs import python_docs
from insideout.scales import Scale

HELD_OUT = 0.1
"""The share of the corpus, from its end, that training leaves out."""
_WORD = re.compile(r"[A-Za-z]+[.,:;]?")


def suite(at: Scale) -> Suite:
    """What every stage is asked: passages that fit in the context of the scale's models."""
    return Copying(n_words=4, n_asked=1) if at == "tiny" else Copying()


class Copying(Suite):
    """Passages of the corpus that begin a second time."""

    name = "copying"
    parts = ("next_word", "copied")

    def __init__(self, n_words: int = 16, n_asked: int = 6, text: str | None = None) -> None:
        """`n_words` in a passage, of which the last `n_asked` are asked for."""
        self.n_words, self.n_asked = n_words, n_asked
        self.max_new_tokens = 4 * n_asked
        text = python_docs() if text is None else text
        cut = int((1 - HELD_OUT) * len(text))
        known = dict.fromkeys(passages(text[:cut], n_words))
        unseen = (each for each in dict.fromkeys(passages(text[cut:], n_words)) if each not in known)
        self.passages: dict[Split, list[str]] = {split: [] for split in SPLITS}
        self.passages["train"] = list(known)
        for passage in unseen:
            self.passages[self.held_out_split(passage)].append(passage)

    def held_out_split(self, passage: str) -> Split:
        """One half of the unseen passages is for choosing, the other for reporting."""
        return "test" if random.Random(f"{self.name} {passage}").random() < 0.5 else "development"

    def split_of(self, question: Question) -> Split:
        """Where its passage lies."""
        return next(split for split in SPLITS if question.family in self.passages[split])

    def stream(self, split: Split, seed: int = 0) -> Iterator[Question]:
        """Every passage twice, in random order: after itself, and after another one."""
        source = random.Random(f"{self.name} {split} {seed}")
        order = source.sample(self.passages[split], len(self.passages[split]))
        for passage, other in zip(order, order[1:] + order[:1], strict=True):
            words = passage.split()
            beginning, rest = " ".join(words[: -self.n_asked]), tuple(words[-self.n_asked :])
            yield Question(f"{passage}\n\n{beginning}", rest, "repeated", family=passage)
            yield Question(f"{other}\n\n{beginning}", rest, "fresh", family=passage)

    def judge(self, question: Question, answer: str) -> Verdict:
        """next_word: the first word is that of the passage; copied: the share of its words up to the first mistake."""
        words = answer.split() if answer[:1].isspace() else []  # "s the" after "return" is no word "s"
        agreed = 0
        for wanted, written in zip(question.truth, words, strict=False):
            if wanted != written:
                break
            agreed += 1
        return Verdict({"next_word": agreed > 0, "copied": agreed / len(question.truth)})


def passages(text: str, n_words: int) -> Iterator[str]:
    """Stretches of so many words, side by side, within paragraphs; four fifths of the words at least are plain ones."""
    for paragraph in re.split(r"\n\s*\n", text):
        words = paragraph.split()
        for first in range(0, len(words) - n_words + 1, n_words):
            stretch = words[first : first + n_words]
            if sum(_WORD.fullmatch(word) is not None for word in stretch) >= 0.8 * n_words:
                yield " ".join(stretch)
