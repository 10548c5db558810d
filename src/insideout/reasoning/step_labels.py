"""Labels for steps without anybody who knows: from each step's end the model draws on, and one counts what comes out.

    rollout_labels(writer, traces, 8, seed=0, max_new_tokens=44, right=right)       [[0.75, 0.62, 0.0, 0.0], ...]

All that is needed is a judge of final answers. What is told is another thing than whether a step is right: it is how
often this model gets from there to a right answer. A right step of a long problem may have a low label, and a wrong one
a high label where the mistake is mended, or does not matter. That it is above 0 at all is taken for "right" by some.
Taught in book/4-reasoning-with-transformers/04_process_reward_models.md.
Source: Wang et al. 2024 (Math-Shepherd), §3.3: the share is its soft estimation, above 0 its hard one.
"""

from collections.abc import Callable, Sequence
from statistics import fmean

from insideout.data.batch import length_of
from insideout.errors import BadInput
from insideout.reasoning.thinking import ThinkingWriter
from insideout.reasoning.verifiers import Traced
from insideout.transformer.generation.inputs import whole
from insideout.transformer.generation.rollout import rollout, row_seeds

__all__ = ["rollout_labels"]


def rollout_labels(
    writer: ThinkingWriter,
    traces: Sequence[Traced],
    n: int,
    seed: int,
    max_new_tokens: int,
    right: Callable[[int, str], bool],
) -> list[list[float]]:
    """For each mark of each answer, the share of n answers drawn on from there that come out right.

    `right(i, response)` judges a whole response to the question of answer i. At the last mark nothing is left to be
    drawn, and the answer itself is judged. Raises BadInput for n below 1, and where the context leaves no room.
    """
    n = whole("n", n, 1)
    texts, prefixes = list[list[int]](), list[tuple[int, int]]()
    for number, trace in enumerate(traces):
        ids = [int(id) for segment in trace.document for id in segment.ids]
        texts.append(ids)
        prefixes += [(number, mark + 1) for mark in trace.marks[:-1]]
    prefixes.sort(key=lambda each: each[1])  # those of one length are read together
    room = writer.model.config.context_length - max((end for _, end in prefixes), default=0)
    if prefixes and room < 1:
        raise BadInput("The context leaves no room to draw on from the last step: it must hold more tokens.")
    asked = [length_of(trace.document[:1]) for trace in traces]
    found: dict[tuple[int, int], float] = {}
    luck, together = row_seeds(seed, n * len(prefixes)), max(1, writer.at_once // n)
    for first in range(0, len(prefixes), together):
        some = prefixes[first : first + together]
        drawn = rollout(
            writer.model, [texts[number][:end] for number, end in some], n, min(max_new_tokens, room),
            temperature=writer.temperature, stop=writer.stop, seed=luck[first * n : (first + len(some)) * n],
        )  # fmt: skip
        for row, (number, end) in enumerate(some):
            begun = texts[number][asked[number] : end]
            answers = (writer.format.answer([*begun, *drawn.answer(row * n + i)]) for i in range(n))
            found[number, end] = fmean(right(number, answer) for answer in answers)
    labels = []
    for number, trace in enumerate(traces):
        itself = right(number, writer.format.answer(texts[number][asked[number] :]))
        labels.append([*(found[number, mark + 1] for mark in trace.marks[:-1]), float(itself)])
    return labels
