"""The scoreboard: whoever answers is measured in the same way, on the same questions, with intervals.

    scores = score(writer, suite, n=500, seed=0)
    scores["correct"]                    what share of its answers is right, and by how much that may be off
    compare(scores, earlier, "correct")  a gain, question by question

What is measured: the parts of the suite's verdicts, each by name and the first one by kind of question; how often an
answer ends by itself; its length; diversity; for a model, what it has moved away from where it began (KL, in nats an
answer) and what it has forgotten (bits per byte of the text it was pretrained on).

Every question's answers and verdicts are kept: an average can be recomputed, a strange one looked at, and two models
compared in pairs. Used from part 2 on. Sources: Li et al. 2016 (distinct-n); Ouyang et al. 2022 (KL to the start).
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from statistics import fmean
from typing import TYPE_CHECKING, Any

from insideout.data.suite import Answer, Message, Part, Question, Split, Suite, Writer
from insideout.errors import BadInput
from insideout.estimates import Interval, difference, interval, paired_proportions, proportion

if TYPE_CHECKING:
    from torch import Tensor

    from insideout.data.batch import Document
    from insideout.data.text.tokens import Tokens
    from insideout.transformer.generation.writer import GPTWriter
    from insideout.transformer.model import GPT

MANNERS = ("stop rate", "length", "distinct-2")
"""What is measured of answers whatever they are asked."""
BIGRAMS = 500
"""How many pairs of words distinct-2 looks at together."""


@dataclass(frozen=True)
class Metric:
    """A measured value, its 95% interval, and in which unit."""

    value: Interval
    unit: str = "%"
    """%: a share, kept between 0 and 1; else what one of it is, nothing for a plain number."""


@dataclass(frozen=True)
class Answered:
    """One question, what was answered, and what the judge said of each answer."""

    prompt: Any
    kind: str
    answers: tuple[str, ...]
    verdicts: tuple[Mapping[str, Part], ...]

    def mean(self, part: str) -> float | None:
        """The part's mean over the answers for which it applies; None where there is none."""
        values = [float(each) for verdict in self.verdicts if (each := verdict[part]) is not None]
        return fmean(values) if values else None


@dataclass(frozen=True)
class Scores:
    """What was measured of one writer on one suite."""

    suite: str
    split: Split
    seed: int
    metrics: Mapping[str, Metric]
    answered: tuple[Answered, ...]

    def __getitem__(self, metric: str) -> Interval:
        """A metric's value and interval. Raises BadInput for one that was not measured."""
        if metric not in self.metrics:
            raise BadInput(f"{self.suite} was not scored by {metric!r}; there is {'; '.join(self.metrics)}.")
        return self.metrics[metric].value


def to_dict(scores: Scores) -> dict[str, Any]:
    """As JSON knows them."""
    return dataclasses.asdict(scores) | {"metrics": metrics_to_dict(scores.metrics)}


def from_dict(values: Mapping[str, Any]) -> Scores:
    """The scores that `to_dict` wrote. Raises KeyError, TypeError or ValueError for anything else."""
    answered = tuple(
        Answered(
            each["prompt"] if isinstance(each["prompt"], str) else tuple(Message(*turn) for turn in each["prompt"]),
            each["kind"], tuple(each["answers"]), tuple(each["verdicts"]),
        )
        for each in values["answered"]
    )  # fmt: skip
    return Scores(**{**values, "metrics": metrics_from_dict(values["metrics"]), "answered": answered})


def metrics_to_dict(metrics: Mapping[str, Metric]) -> dict[str, Any]:
    """Metrics as JSON knows them."""
    return {name: metric.value._asdict() | {"unit": metric.unit} for name, metric in metrics.items()}


def metrics_from_dict(values: Mapping[str, Any]) -> dict[str, Metric]:
    """The metrics that `metrics_to_dict` wrote."""
    return {
        name: Metric(Interval(each["mean"], each["low"], each["high"], each["n"]), each["unit"])
        for name, each in values.items()
    }


def score(
    writer: Writer, suite: Suite, n: int, seed: int = 0, *, split: Split = "test", samples: int = 1,
    max_new_tokens: int | None = None,
) -> Scores:  # fmt: skip
    """Ask n questions of a split, each for so many answers, judge them, and measure.

    Two writers scored with the same suite, n, seed and split answer the same questions. Of several answers to one
    question the mean counts, since they are not independent. Raises BadInput for fewer than 2 questions.
    """
    if n < 2:
        raise BadInput(f"{n} questions give no interval: ask at least 2.")
    questions = suite.draw(split, n, seed)
    written = writer.write([each.prompt for each in questions], samples, seed, max_new_tokens or suite.max_new_tokens)
    answered = tuple(judged(suite, *each) for each in zip(questions, written, strict=True))
    metrics = dict(skills(suite.parts, answered)) | dict(manners(written))
    return Scores(suite.name, split, seed, metrics, answered)


def judged(suite: Suite, question: Question, answers: Sequence[Answer]) -> Answered:
    """A question with its answers and their verdicts."""
    verdicts = tuple(dict(suite.judge(question, answer.text).parts) for answer in answers)
    for verdict in verdicts:
        if tuple(verdict) != suite.parts:
            raise BadInput(
                f"{suite.name} promises verdicts of {', '.join(suite.parts)}, and gave {', '.join(verdict)}."
            )
    return Answered(question.prompt, question.kind, tuple(answer.text for answer in answers), verdicts)


def skills(parts: Sequence[str], answered: Sequence[Answered]) -> Iterator[tuple[str, Metric]]:
    """Each part of the verdicts over all questions; the first one also by kind, where there are several."""
    kinds = sorted({each.kind for each in answered})
    for part in parts:
        if (metric := part_of(part, answered)) is not None:
            yield part, metric
        for kind in kinds if part == parts[0] and len(kinds) > 1 else ():
            if (metric := part_of(part, [each for each in answered if each.kind == kind])) is not None:
                yield f"{part}, {kind}", metric


def part_of(part: str, answered: Sequence[Answered]) -> Metric | None:
    """One part of the verdicts; None where it applied to fewer than two questions."""
    values = [verdict[part] for each in answered for verdict in each.verdicts if verdict[part] is not None]
    means = [mean for each in answered if (mean := each.mean(part)) is not None]
    if len(means) < 2:
        return None
    return Metric(share_of(values, means), "%" if all(isinstance(value, bool) for value in values) else "")


def share_of(values: Sequence[Any], means: Sequence[float]) -> Interval:
    """Wilson's interval where each question has one answer that is right or wrong, else Student's over questions."""
    if len(values) == len(means) and all(isinstance(value, bool) for value in values):
        return proportion(sum(values), len(values))
    return interval(means)


def manners(written: Sequence[Sequence[Answer]]) -> Iterator[tuple[str, Metric]]:
    """How answers end, how long they are, and how much they repeat themselves and each other."""
    known = [[answer.finished for answer in answers if answer.finished is not None] for answers in written]
    known = [each for each in known if each]
    if len(known) > 1:
        values = [finished for each in known for finished in each]
        yield "stop rate", Metric(share_of(values, [fmean(each) for each in known]))
    yield "length", Metric(interval(fmean(len(answer.ids) for answer in answers) for answers in written), "tokens")
    blocks = distinct_2([answer.text for answers in written for answer in answers])
    if len(blocks) > 1:
        yield "distinct-2", Metric(interval(blocks))


def distinct_2(texts: Sequence[str], at_once: int = BIGRAMS) -> list[float]:
    """The share of different pairs among so many pairs of neighbouring words, for one stretch of answers after another.

    The more pairs are looked at, the fewer are new, so that a plain distinct-n falls with the length of what is written
    and with the number of answers. Here every stretch has the same number of pairs, over as many answers as it takes.
    """
    words = [text.split() for text in texts]
    pairs = [pair for each in words for pair in pairwise(each)]
    whole = len(pairs) // at_once * at_once
    return [len(set(pairs[first : first + at_once])) / at_once for first in range(0, whole, at_once)]


def compare(ours: Scores, baseline: Scores, part: str) -> Interval:
    """By how much a part of the verdicts is higher than the baseline's, question by question.

    Bonett and Price's interval for right or wrong, else Student's. Raises BadInput where the questions differ.
    """
    pairs = list(zip(ours.answered, baseline.answered, strict=False))
    if len(ours.answered) != len(baseline.answered) or any(a.prompt != b.prompt for a, b in pairs):
        raise BadInput("These scores are of different questions: score both with the same suite, n, seed and split.")
    both = [(a, b) for a, b in pairs if a.mean(part) is not None and b.mean(part) is not None]
    single = [each for pair in both for each in pair if len(each.verdicts) == 1]
    if len(single) == 2 * len(both) and all(isinstance(each.verdicts[0][part], bool) for each in single):
        return paired_proportions([bool(a.mean(part)) for a, _ in both], [bool(b.mean(part)) for _, b in both])
    return difference([a.mean(part) for a, _ in both], [b.mean(part) for _, b in both])


# What only a model of ours can be asked


def kl_to_start(
    writer: "GPTWriter", start: "GPTWriter", questions: Sequence[Question], seed: int, max_new_tokens: int
) -> Metric:
    """KL(writer ‖ start) of whole answers, in nats: how far the writer's answers have moved from the model it began as.

    The answers are drawn as the writer believes, at temperature 1, whatever its own temperature is.
    """
    from insideout.data.batch import Segment

    if writer.tokenizer.fingerprint != start.tokenizer.fingerprint:
        raise BadInput("The two models have different tokenizers: their distributions cannot be compared.")
    prompts = [each.prompt for each in questions]
    written = dataclasses.replace(writer, temperature=1.0).write(prompts, 1, seed, max_new_tokens)
    documents = [
        [Segment(writer.ids_of(prompt), learn=False), Segment(answer.ids, learn=True)]
        for prompt, [answer] in zip(prompts, written, strict=True)
    ]
    found: list[float] = []
    for first in range(0, len(documents), 32):
        found += divergences(writer.model, start.model, documents[first : first + 32])
    return Metric(interval(found), "nats")


def divergences(model: "GPT", start: "GPT", documents: "Sequence[Document]") -> list[float]:
    """Σ_t KL(p_t ‖ q_t) over the learned positions of each document, in nats, with p_t the model's whole distribution.

    Over answers that the model drew, its mean is KL(p ‖ q) of answers, as is that of Σ_t log p_t − log q_t of the drawn
    tokens alone; but it is less noisy, and never below 0.
    """
    from insideout.data.batch import padded

    used = {id for document in documents for segment in document for id in segment.ids}
    spare = next((id for id in range(model.config.vocab_size) if id not in used), None)
    if spare is None and len(documents) > 1:  # no token is left to fill rows up with: each on its own
        return [each for document in documents for each in divergences(model, start, [document])]
    batch = padded(documents, spare)
    p, q = (as_read(each, batch.ids).double().log_softmax(-1) for each in (model, start))  # (B, T, V) each
    return batch.sums((p.exp() * (p - q)).sum(-1).clamp_min(0)).tolist()


@dataclass(frozen=True)
class HeldOut:
    """The end of the text that the first stage was pretrained on."""

    tokens: "Tokens"
    bytes_per_token: float
    context_length: int
    n_windows: int = 64


def forgotten(model: "GPT", text: HeldOut) -> Metric:
    """Bits per byte of that text, window by window: what a stage makes worse, it has forgotten."""
    from insideout.data.text.tokens import windows
    from insideout.transformer.loss import token_logprobs

    found: list[float] = []
    for ids, targets in islice(windows(text.tokens, text.context_length, 8), -(-text.n_windows // 8)):
        logprobs = token_logprobs(as_read(model, ids), targets)  # (B, T)
        found += (-logprobs.mean(-1) / (math.log(2) * text.bytes_per_token)).tolist()
    return Metric(interval(found[: text.n_windows]), "bits/byte")


def as_read(model: "GPT", ids: "Tensor") -> "Tensor":
    """The logits of a model that only reads, wherever it lies. (B, T) -> (B, T, V), on the CPU."""
    from insideout.transformer.generation.reading import only_reading

    with only_reading(model):
        return model(ids.to(model.token_embedding.weight.device)).cpu()
