r"""Budget forcing: thinking that is closed by force when it is too long, and made to go on when it would end too soon.

    budget = Budget(min_tokens=30, max_tokens=60, word="\nwait\n")
    [[thought]] = think(writer, [prompt], budget, seed=0)
    thought.answer.text        <think>3+5=8\n8+2=11\nwait\n8+2=10</think>#### 10
    thought.thinking, thought.waits, thought.cut

Where the model draws the end of its thinking too early, that token is dropped and the word put in its place. Only what
was newly drawn is looked at to see whether it has ended. How often the word was really put is told with each answer: a
budget that was never used has done nothing.
Taught in book/4-reasoning-with-transformers/08_budget_forcing.md. Source: Muennighoff et al. 2025 (s1), §3.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from insideout.checks import whole
from insideout.data.suite import Answer, Prompt
from insideout.errors import BadInput
from insideout.finetuning.chat import ChatWriter
from insideout.reasoning.opening import answer_of, go_on, opening_ids
from insideout.reasoning.thinking import think_ids
from insideout.transformer.generation.inputs import SEEDS
from insideout.transformer.generation.rollout import row_seeds

__all__ = ["Budget", "BudgetWriter", "Thought", "think"]


@dataclass(frozen=True)
class Budget:
    """How long thinking may and must be, in tokens between its two marks. Raises BadInput for what cannot be kept."""

    min_tokens: int = 0
    """Thinking that would end before it has so many goes on with the word."""
    max_tokens: int | None = None
    """Thinking of so many tokens is closed. None: as many as the context holds."""
    max_waits: int = 1
    """The word is put so often at most; then the model may end when it likes."""
    word: str = "\nwait\n"
    """What is put where the end was drawn too early."""

    def __post_init__(self) -> None:
        low = whole("min_tokens", self.min_tokens, 0)
        whole("max_waits", self.max_waits, 0)
        if self.max_tokens is not None and whole("max_tokens", self.max_tokens, 0) < low:
            raise BadInput(f"min_tokens is {low} and max_tokens {self.max_tokens}: no thinking has both lengths.")
        if not self.word:
            raise BadInput("The word that makes a model go on is empty: give some text, such as '\\nwait\\n'.")


@dataclass(frozen=True)
class Thought:
    """An answer, and what its thinking cost."""

    answer: Answer
    thinking: int
    """Tokens between the marks, those of the words that were put with them."""
    waits: int
    """How often the word was put."""
    cut: bool
    """Was the thinking closed by force?"""


@dataclass
class Row:
    """An answer as it grows."""

    prompt: list[int]
    most: int
    """Tokens that its thinking may have."""
    thinking: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    waits: int = 0
    open: bool = True
    cut: bool = False


def think(
    writer: ChatWriter, prompts: Sequence[Prompt], budget: Budget, seed: int, *, n: int = 1, answer_tokens: int = 8
) -> list[list[Thought]]:
    """n answers to each prompt, thought within the budget; after it at most `answer_tokens` more.

    Raises BadInput for a tokenizer without think tokens, a word that holds an end, or prompts that leave no room.
    """
    begin, end = think_ids(writer.tokenizer)
    stop = writer.stop if isinstance(writer.stop, tuple) else (writer.stop,)
    ends = {end, *(token for token in stop if token is not None)}
    word = opening_ids(writer, budget.word)
    if ends & set(word):
        raise BadInput(f"The word {budget.word!r} holds a token that ends the thinking: leave it out.")
    texts = [[*writer.ids_of(prompt), begin] for prompt in prompts]
    whole("n", n, 1), whole("answer_tokens", answer_tokens, 1)
    rows = []
    for text in texts:
        room = writer.model.config.context_length - len(text) - 1 - answer_tokens
        if room < 0:
            raise BadInput(
                f"A prompt of {len(text) - 1} tokens leaves no room to think and to answer in {answer_tokens} tokens: "
                f"the context holds {writer.model.config.context_length}."
            )
        most = room if budget.max_tokens is None else min(room, budget.max_tokens)
        rows += [Row(list(text), most) for _ in range(n)]
    luck = row_seeds(seed, len(rows))

    def seeds(of: Sequence[int], turn: int) -> list[int]:
        return [(luck[i] + turn) % SEEDS for i in of]

    turn = 0
    while waiting := [i for i, row in enumerate(rows) if row.open]:
        for i in waiting:
            rows[i].open = rows[i].most > len(rows[i].thinking)
            rows[i].cut = not rows[i].open
        going = [i for i in waiting if rows[i].open]
        if going:
            limit = 1 + max(rows[i].most - len(rows[i].thinking) for i in going)  # one more, for the end itself
            limit = min(limit, min(room_of(writer, rows[i]) for i in going))
            new = go_on(
                writer, [rows[i].prompt + rows[i].thinking for i in going], limit, tuple(ends), seeds(going, turn)
            )
            for i, (ids, logprobs, _) in zip(going, new, strict=True):
                grow(rows[i], ids, logprobs, ends, word, budget)
        turn += 1
    closed = [row.prompt + row.thinking + [end] for row in rows]
    said = go_on(writer, closed, answer_tokens, writer.stop, seeds(range(len(rows)), turn))
    thoughts = []
    for row, (ids, logprobs, finished) in zip(rows, said, strict=True):
        inside = answer_of(writer, [begin, *row.thinking, end], ids, logprobs, finished)
        known = (0.0, *row.logprobs, 0.0, *logprobs)
        answer = Answer(inside.text, inside.ids, inside.finished, known)
        thoughts.append(Thought(answer, len(row.thinking), row.waits, row.cut))
    return [thoughts[p * n : (p + 1) * n] for p in range(len(texts))]


def room_of(writer: ChatWriter, row: Row) -> int:
    """Tokens for which its text leaves room."""
    return writer.model.config.context_length - len(row.prompt) - len(row.thinking)


def grow(row: Row, ids: list[int], logprobs: list[float], ends: set[int], word: list[int], budget: Budget) -> None:
    """Add what was newly drawn: up to the end that it drew, or to the limit; put the word where it is too short."""
    left = row.most - len(row.thinking)
    ended = bool(ids) and ids[-1] in ends and len(ids) <= left + 1
    inside = ids[:-1] if ended else ids[:left]
    row.thinking += inside
    row.logprobs += logprobs[: len(inside)]
    if not ended:
        return  # it goes on, or is cut, in the next round
    short = len(row.thinking) < budget.min_tokens and row.waits < budget.max_waits
    if short and len(row.thinking) + len(word) < row.most:
        row.thinking += word
        row.logprobs += [0.0] * len(word)
        row.waits += 1
    else:
        row.open = False


@dataclass(frozen=True)
class BudgetWriter:
    """A writer whose thinking keeps within a budget: for whatever takes a writer."""

    writer: ChatWriter
    budget: Budget

    def write(self, prompts: Sequence[Prompt], n: int, seed: int, max_new_tokens: int) -> list[list[Answer]]:
        """n answers to each prompt, with `max_new_tokens` for what follows the thinking."""
        found = think(self.writer, prompts, self.budget, seed, n=n, answer_tokens=max_new_tokens)
        return [[thought.answer for thought in thoughts] for thoughts in found]

    def ids_of(self, prompt: Prompt) -> list[int]:
        """The tokens that the model is given."""
        return self.writer.ids_of(prompt)
