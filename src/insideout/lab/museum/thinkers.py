"""Small runs of part 4 in the world of letters, each with or without a fault.

    grpo      a policy, from which of its answers are right: groups of answers, compared with each other
    prm       a verifier of steps: fcab is put in order by the lines a, b, c, f; is it right up to here?
    distil    a student, from what a teacher believes about each token of right answers
    vote      no training: answers are drawn, the most frequent one wins; one record for each size of the vote

Like those of runs.py beside this, whose world they share. Used in
book/4-reasoning-with-transformers/10_what_grpo_changes.md, by the broken trainers of part 4.
"""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from statistics import fmean
from typing import Any

from insideout import files
from insideout.finetuning.policy_config import PolicyConfig
from insideout.lab.museum import runs
from insideout.lab.museum.letters import ALPHABET, LONGEST, Letters, chat_format, is_right, model_config, texts
from insideout.lab.museum.runs import N_QUESTIONS, asked, fit_small, train_config
from insideout.recipes.distil import DistilConfig
from insideout.recipes.grpo import METHOD, GRPOConfig
from insideout.recipes.job import Job
from insideout.recipes.verifier import VerifierConfig
from insideout.scales import Scale

KINDS = ("grpo", "prm", "distil", "vote")
STEPS: dict[str, dict[str, int]] = {
    "tiny": dict.fromkeys(KINDS, 8) | {"teacher": 60},
    "laptop": {"grpo": 50, "prm": 120, "distil": 80, "vote": 1, "teacher": 160},
}
"""Updates of each kind of run, and of the model that teaches."""
VOTES = (1, 2, 4, 8, 16)
"""Answers that vote."""


def settings(kind: str, seed: int, at: Scale) -> Any:
    """A run's settings, of the class that the stage of its name has; those of a vote are a distillation's."""
    small = at == "tiny"
    steps = STEPS["tiny" if small else "laptop"][kind]
    if kind == "grpo":
        drawn = PolicyConfig(
            prompts=4 if small else 12, samples=4 if small else 8, max_new_tokens=Letters.max_new_tokens, beta=0.01,
            **METHOD,  # type: ignore[arg-type]
        )  # fmt: skip
        train = train_config(steps, 1e-3, drawn.prompts * drawn.samples, seed)
        return GRPOConfig(questions=N_QUESTIONS[at], check_samples=1, policy=drawn, train=train)
    if kind == "prm":
        return VerifierConfig(own=False, words=0.0, train=train_config(steps, 6e-3, 6 if small else 32, seed))
    train = train_config(steps, 4e-3, 6 if small else 24, seed)
    return DistilConfig(method="kd", divergence="forward", soften=2.0, train=train)


def policy(config: Any, begun: Any, job: Job, at: Scale) -> None:
    """A policy, from which of its answers are right."""
    import torch

    from insideout.finetuning.experience import judged_by
    from insideout.recipes.reinforcement import HELD_OUT, Task, learn

    world, seed = Letters(), config.train.seed
    held_out = world.draw("development", N_QUESTIONS[at])

    def questions(number: int) -> Any:
        return list(islice(world.stream("train", (seed + 1) * 1_000_003 + number), config.policy.prompts))

    task = Task(
        questions, judged_by(lambda question, text: paid(question, text)), lambda model: asked(model, held_out)[0],
        shown=HELD_OUT, gold=judged_by(lambda question, text: float(is_right(text, question.truth))),
    )  # fmt: skip
    learn(begun, task, config.policy, config.train, None, torch.device("cpu"), job)


def paid(question: Any, answer: str) -> float:
    """What the learner is told that an answer is worth: 1 for a right one."""
    return float(is_right(answer, question.truth))


def readable(answer: str) -> bool:
    """Can it be an order of different letters?"""
    return 0 < len(set(answer)) == len(answer) <= LONGEST


def verifier(config: Any, begun: Any, job: Job, at: Scale) -> None:
    """A verifier of steps, from worked answers of which half go wrong somewhere."""
    import torch

    from insideout.reasoning.thinking import ThinkingFormat, with_think_tokens
    from insideout.reasoning.verifiers import METRICS, Verifier, marked, scores, traced, verifier_objective
    from insideout.recipes.verifier import HELD_OUT, told
    from insideout.training.objective import Objective
    from insideout.transformer.model import GPT
    from insideout.transformer.tokenizer import CharacterTokenizer

    chat = ThinkingFormat(with_think_tokens(CharacterTokenizer([*ALPHABET, "\n"])))
    torch.manual_seed(config.train.seed)
    gpt = GPT(model_config(chat.tokenizer.vocab_size))
    model = Verifier.of(gpt, chat.pad_id, config.train.seed, config.own)

    def read(split: Any, n: int, seed: int) -> Any:
        known = worked(split, n, seed)
        return [traced(chat, each.prompt, each.answer) for each in known], known

    held_out, held_known = read("development", 4 * N_QUESTIONS[at], 0)
    held_labels = [each.labels for each in held_known]

    def batch_at(step: int, micro_step: int) -> Any:
        found, known = read("train", config.train.batch_size, (config.train.seed + 1) * 1_000_003 + step)
        return marked(found, [each.labels for each in known], chat.pad_id)

    def measure(model: Any) -> tuple[dict[str, float], str]:
        said = scores(model, held_out, chat.pad_id)
        lines = [
            f"{known.question}: " + "  ".join(
                f"{step} {p:.2f}" for step, p in zip([*known.answer[7:].split("<")[0].split(), "end"], row, strict=True)
            ) for known, row in zip(held_known[:6], said, strict=False)
        ]  # fmt: skip
        return told(said, held_labels, held_known, "process"), "\n".join(lines)

    objective = verifier_objective(config.words)
    aim = Objective(objective.loss, (*HELD_OUT, *METRICS), counted="marks")
    fit_small(job, model, chat, aim, batch_at, config.train, measure)


def worked(split: Any, n: int, seed: int) -> Any:
    """Words put in order line by line, half of them with a letter that is not the next one, and what is right of each.

    `n` traces, each with a label a step, None after the first error.
    """
    from insideout.recipes.traces import Trace

    source, found = random.Random(f"worked {split} {seed}"), []
    for question in islice(Letters().stream(split, seed), n):
        right = list(question.truth)
        said = list(right)
        if len(right) > 1 and source.random() < 0.5:
            i = source.randrange(len(right) - 1)
            said[i], said[i + 1] = said[i + 1], said[i]
        first = next((i for i, (a, b) in enumerate(zip(said, right, strict=True)) if a != b), len(said))
        steps = tuple(i < first if i <= first else None for i in range(len(said)))
        lines = "".join(f"{letter}\n" for letter in said)
        answer = f"<think>{lines}</think>{''.join(said)}"
        found.append(Trace(texts([question])[0], answer, True, steps, said == right))
    return found


@lru_cache(maxsize=2)
def teacher(at: Scale) -> Any:
    """A model that has learned the task, without a fault."""
    return runs.answering(STEPS["tiny" if at == "tiny" else "laptop"]["teacher"], 2, at)


def student(config: Any, begun: Any, job: Job, at: Scale) -> None:
    """A student with random weights, from what its teacher believes about right answers."""
    import torch

    from insideout.data.batch import padded
    from insideout.recipes.distil import METRICS, loss_of
    from insideout.recipes.sft import METRICS as TUNED
    from insideout.training.objective import Objective
    from insideout.transformer.loss import next_token_loss
    from insideout.transformer.model import GPT

    chat, world = chat_format(), Letters()
    torch.manual_seed(config.train.seed)
    model = GPT(model_config(chat.tokenizer.vocab_size))
    questions = world.draw("development", N_QUESTIONS[at])
    held_out = [chat.document(talk) for talk in islice(world.conversations("development", 7), 2 * N_QUESTIONS[at])]

    def batch_at(step: int, micro_step: int) -> Any:
        stream = world.conversations("train", config.train.seed * 1_000_003 + step)
        return padded([chat.document(talk) for talk in islice(stream, config.train.batch_size)], chat.pad_id)

    def measure(model: Any) -> tuple[dict[str, float], str]:
        loss, n = next_token_loss(model, padded(held_out, chat.pad_id))
        found, shown = asked(model, questions)
        return {"validation_loss": float(loss) / n, **found}, shown

    aim = Objective(loss_of(config, begun), (*TUNED, *METRICS))
    fit_small(job, model, chat, aim, batch_at, config.train, measure)


def vote(config: Any, begun: Any, job: Job, at: Scale) -> None:
    """Votes of 1, 2, 4, … answers to each question: how often the right one wins."""
    from insideout import estimates

    questions = Letters().draw("development", 2 * N_QUESTIONS[at])
    most = VOTES[-1]
    drawing = replace(begun.writer, temperature=1.0)
    written = drawing.write([q.prompt for q in questions], most, config.train.seed, Letters.max_new_tokens)
    read = [[each.text if readable(each.text) else None for each in group] for group in written]
    records = []
    for k in VOTES:
        won = [
            estimates.vote(answers[first : first + k])
            for answers in read for first in range(0, most, k)
        ]  # fmt: skip
        truths = [q.truth for q in questions for _ in range(0, most, k)]
        records.append({
            "step": k,
            "correct": fmean(each.get(truth, 0.0) for each, truth in zip(won, truths, strict=True)),
            "unreadable": fmean(each.get(None, 0.0) for each in won),
        })  # fmt: skip
    job.begin(unreadable=fmean(each is None for group in read for each in group))
    lines = [json.dumps(each) for each in records]
    files.save(job.folder / "metrics.jsonl", "\n".join(lines) + "\n")
    shown = "\n".join(
        f"{asked_} → " + ", ".join(each.text or "(nothing)" for each in group[:6])
        for asked_, group in zip(texts(questions)[:6], written, strict=False)
    )
    files.save(job.folder / "samples.jsonl", json.dumps({"step": most, "text": shown}) + "\n")
    job.end()


def begun(kind: str, at: Scale) -> Any:
    """What a run of this kind goes on from, made without a fault."""
    if kind == "prm":
        return None
    if kind == "distil":
        return teacher(at).writer.model
    return teacher(at) if at == "tiny" else runs.start(at)  # who is never right is taught nothing by its groups


RUNS: dict[str, Callable[[Any, Any, Job, Scale], Any]] = {
    "grpo": policy, "prm": verifier, "distil": student, "vote": vote,
}  # fmt: skip
