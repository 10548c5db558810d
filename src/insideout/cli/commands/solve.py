"""`insideout solve`: let a model think about a question, once or many times, and tell the answer and what it cost."""

import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.words import harmless

if TYPE_CHECKING:
    from insideout.data.suite import Answer
    from insideout.reasoning.writers import Metered
    from insideout.recipes.verifier import VerifierRun


@dataclass(frozen=True)
class Solve:
    """Let a model think about a question: once, or many times, and then vote, or let a verifier choose."""

    question: Annotated[str, tyro.conf.Positional]
    """What is asked, such as 3+5+2+4."""
    method: Literal["chain", "vote", "adaptive", "best-of", "budget"] = "chain"
    """chain: its likeliest answer. vote: n answers are drawn, and the most frequent wins. adaptive: answers are drawn
    until the leader is unlikely to be overtaken, n at most. best-of: n answers are drawn, and a verifier chooses.
    budget: its likeliest answer, its thinking made to wait once where it is shorter than --min-tokens, and closed at
    --max-tokens."""
    n: int = 16
    """How many answers are drawn, or at most."""
    model: str | None = None
    """The folder of a run of ours that answers, smollm2, or a pretrained model with a chat template: its name on the
    Hub, its folder or .gguf file. With --server: its name there. Default: the recipe reasoner, with
    budget the recipe checker."""
    server: str | None = None
    """The address of an OpenAI-compatible server, up to /v1."""
    verifier: str | None = None
    """Who chooses, with best-of: the folder of a run of prm or orm. Default: the recipe prm."""
    min_tokens: int = 0
    """Of thinking, with budget."""
    max_tokens: int | None = None
    """Of thinking, with budget. Default: what the context holds."""
    temperature: float = 1.0
    """Of the answers that are drawn."""
    max_new_tokens: int = 0
    """How long an answer may be. 0: as long as the model was made for, or 256."""
    seed: int = 0
    """Another seed, other answers."""

    def run(self) -> int:
        if not self.question.strip():
            raise BadInput("The question is empty: ask something.")
        if not 1 <= self.n <= 10_000 or not 0 <= self.max_new_tokens <= 1_000_000 or not 0 <= self.seed < 2**63:
            raise BadInput("n must lie between 1 and 10,000, max_new_tokens and seed be at least 0, and not endless.")
        if not 0 <= self.temperature <= 100 or (self.draws and self.temperature == 0):
            raise BadInput(
                f"temperature is {self.temperature}; it must be at most 100, and above 0 where answers are drawn."
            )
        if self.server is not None and not self.model:
            raise BadInput("Name the model that the server is to ask: --model.")
        if self.verifier is not None and self.method != "best-of":
            raise BadInput("--verifier chooses only with --method best-of.")
        if self.method != "budget" and (self.min_tokens or self.max_tokens is not None):
            raise BadInput("--min-tokens and --max-tokens are of a budget: add --method budget.")
        verifier = self.judge()
        writer, longest = self.writer()
        answers = self.answers(writer, self.max_new_tokens or longest)
        self.tell(answers, writer) if verifier is None else self.tell_best(answers, writer, verifier)
        return 0

    @property
    def draws(self) -> bool:
        """Are answers drawn, or is the likeliest taken?"""
        return self.method not in ("chain", "budget")

    def judge(self) -> "VerifierRun | None":
        """Who chooses, if somebody is to."""
        if self.method != "best-of":
            return None
        from insideout.files import expanded
        from insideout.recipes import stage
        from insideout.recipes.verifier import loaded

        if self.verifier is not None:
            return loaded(expanded(self.verifier, "--verifier"))
        found: VerifierRun = stage.recipe("prm")
        return found

    def writer(self) -> "tuple[Metered, int]":
        """Who answers, and how many tokens an answer may have."""
        from insideout.reasoning.server_writer import ServerWriter
        from insideout.reasoning.writers import Counted
        from insideout.recipes.found import trained
        from insideout.recipes.stage import recipe

        temperature = self.temperature if self.draws else 0.0
        if self.server is not None:
            if self.method == "budget":
                raise BadInput("A server's thinking cannot be forced: give --method budget a model of ours.")
            return ServerWriter(self.server, str(self.model), temperature), 256
        default = "checker" if self.method == "budget" else "reasoner"
        found = recipe(default) if self.model is None else trained(self.model)
        writer = found.writer(temperature) if hasattr(found, "writer") else None
        if writer is None or not hasattr(writer, "ids_of"):
            raise BadInput("The model was never tuned on conversations: give one that answers.")
        if self.method == "budget":
            from insideout.finetuning.chat import ChatWriter
            from insideout.reasoning.budget import Budget, BudgetWriter

            if not isinstance(writer, ChatWriter):
                raise BadInput("Only the thinking of a model of ours can be forced: give --method budget such a run.")
            return Counted(BudgetWriter(writer, Budget(self.min_tokens, self.max_tokens))), 16
        return Counted(writer), int(getattr(found, "max_new_tokens", 256))

    def answers(self, writer: "Metered", longest: int) -> "list[Answer]":
        """What it wrote."""
        from insideout.reasoning.voting import lead

        prompt = (Message("user", self.question),)
        if self.method != "adaptive":
            [found] = writer.write([prompt], self.n if self.draws else 1, self.seed, longest)
            return found
        drawn: list[Answer] = []
        while len(drawn) < self.n and (not drawn or lead([said(each.text) for each in drawn]) < 0.95):
            [[answer]] = writer.write([prompt], 1, self.seed + len(drawn), longest)
            drawn.append(answer)
        return drawn

    def tell(self, answers: "list[Answer]", writer: "Metered") -> None:
        """The chain that leads to the answer, the vote, and the cost."""
        from insideout.estimates import vote

        found = [said(each.text) for each in answers]
        won = vote(found)
        best = max(won, key=won.__getitem__) if won else None
        shown = next(answer for answer, each in zip(answers, found, strict=True) if each == best)
        print(harmless(shown.text.strip()))
        print()
        if len(answers) > 1:
            for value, votes in Counter(found).most_common(5):
                print(f"{votes:6,} of {len(answers):,}   {'no answer that could be read' if value is None else value}")
            print()
        ties = f", level with {len(won) - 1} more" if len(won) > 1 else ""
        print("No answer could be read." if best is None else f"Answer: {best}{ties}")
        usage = writer.usage
        print(
            f"{usage.answers:,} answer{'s' if usage.answers != 1 else ''}, {usage.tokens_in:,} tokens read, "
            f"{usage.tokens_out:,} written",
            file=sys.stderr,
        )

    def tell_best(self, answers: "list[Answer]", writer: "Metered", verifier: "VerifierRun") -> None:
        """The answer with the highest score, what each of its steps was given, and the cost, the reading included."""
        from insideout.data.problems.steps import steps_in
        from insideout.reasoning.verifiers import aggregate

        prompt, written = (Message("user", self.question),), [each for each in answers if each.text]
        if not written:
            raise BadInput("Not one of the answers has a token: draw more, or ask another model.")
        marks = verifier.marks(
            [prompt] * len(written), [each.text for each in written], [bool(each.finished) for each in written]
        )
        best, probabilities = max(zip(written, marks, strict=True), key=lambda each: aggregate(each[1]))
        lines = [*steps_in(best.text)] if verifier.kind == "process" else []
        for line, probability in zip([*lines, "the answer"], probabilities, strict=True):
            print(f"{probability:6.3f}   {harmless(line)}")
        value = said(best.text)
        print("\nNo answer could be read." if value is None else f"\nAnswer: {value}")
        usage, read = writer.usage, verifier.tokens([prompt] * len(written), [each.text for each in written])
        print(
            f"{usage.answers:,} answer{'s' if usage.answers != 1 else ''}, {usage.tokens_in:,} tokens read, "
            f"{usage.tokens_out:,} written, {read:,} read by the verifier",
            file=sys.stderr,
        )


def said(text: str) -> str | None:
    """The answer that a response states, in one form; None where there is none."""
    from insideout.data.problems.reading import answer_of

    found = answer_of(text)
    return None if found is None else str(found.number)
