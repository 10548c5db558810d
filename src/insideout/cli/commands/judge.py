"""`insideout judge`: a reward model scores answers of a file. (What the town's gold judge says: `insideout scores`.)"""

from dataclasses import dataclass

from insideout.files import expanded
from insideout.words import harmless


@dataclass(frozen=True)
class Judge:
    """Let a reward model score the last answer of each conversation of a file; of pairs, say how often it agrees.

    A score by itself means nothing, only differences between answers to one prompt do.
    """

    data: str
    """A .jsonl: conversations, or pairs of prompt, chosen and rejected."""
    model: str | None = None
    """The folder of a run of `insideout reward`. Default: the recipe reward, made first where it is not stored."""

    def run(self) -> int:
        from insideout.data.conversations import lines, read_conversations, read_pairs
        from insideout.data.suite import Message
        from insideout.recipes.reward import load
        from insideout.recipes.stage import recipe

        file = expanded(self.data, "--data")
        first, _ = next(iter(lines(file)))
        pairs = read_pairs(file) if "chosen" in first else []
        talks = [] if pairs else read_conversations(file)
        for pair in pairs:
            talks += [(*pair.prompt, Message("assistant", answer)) for answer in (pair.chosen, pair.rejected)]
        judge = load(expanded(self.model, "--model")) if self.model is not None else recipe("reward")
        scores = judge.score(talks)
        if pairs:
            print(agreed(scores[0::2], scores[1::2]))
            return 0
        for talk, score in zip(talks, scores, strict=True):
            print(f"{score:8.3f}  {harmless(' '.join(talk[-1].content.split())[:100])}")
        return 0


def agreed(chosen: list[float], rejected: list[float]) -> str:
    """How often the chosen answer is ahead, with its interval."""
    from insideout.estimates import proportion

    share = proportion(sum(a > b for a, b in zip(chosen, rejected, strict=True)), len(chosen))
    return (f"In the right order: {share.mean:.1%} of {share.n:,} pairs, with a 95% interval from {share.low:.1%} to "
            f"{share.high:.1%}.")  # fmt: skip
