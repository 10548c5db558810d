"""What the curves of a run say: the signatures of known faults, each with what it looks like and what to look at.

    diagnose(run.about, run.metrics())        [Trouble("overfitted", "the held-out loss was 1.21 at step 300 and ...")]

A signature is a function of a run's facts and its records. It speaks only where its numbers are there and many enough,
and only of what a sound run does not do: a doctor that accuses the healthy is soon not asked any more. So silence is no
proof of health. The numbers at which a signature speaks are judgements, wide enough for the runs of this book.
Used by `insideout doctor --run`. Taught in book/3-fine-tuning-a-transformer/20_broken_trainers.md.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Any

from insideout.errors import BadInput

__all__ = ["SIGNATURES", "Trouble", "diagnose"]

Records = Sequence[Mapping[str, Any]]
ENOUGH = 40
"""Steps from which on a curve has a shape."""
LARGEST_RATE = 0.1
"""Adam moves each weight by about its rate."""
ANSWER = 20
"""Tokens of a short answer: of a longer one, a signature that counts on so many says nothing."""
FROM_SCRATCH = ("pretrain", "base", "reasoner")
"""Stages whose model begins with random weights and reads text."""


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a run."""

    name: str
    seen: str
    """The numbers that say so."""
    look: str
    """What to look at first."""


@dataclass(frozen=True)
class Curves:
    """A run's records, by name."""

    about: Mapping[str, Any]
    records: Records

    def __getitem__(self, name: str) -> list[float]:
        """All values of that name, in order; those that are not there are left out."""
        return [float(each[name]) for each in self.records if isinstance(each.get(name), int | float)]

    def steps(self, name: str) -> list[int]:
        """Where they were measured."""
        return [int(each["step"]) for each in self.records if isinstance(each.get(name), int | float)]

    def setting(self, *path: str) -> Any:
        """A setting of the run, such as ("train", "clip"); None where it has none."""
        found: Any = self.about.get("config", {})
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    @property
    def stage(self) -> str:
        """Whose run it is."""
        return str(self.about.get("stage", ""))


def ends(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """The first and the last quarter."""
    n = max(1, len(values) // 4)
    return list(values[:n]), list(values[-n:])


def differ(values: Sequence[float]) -> float:
    """By how many standard errors the last quarter lies above the first, as if the records were independent."""
    first, last = ends(values)
    if len(first) < 3:
        return 0.0
    error = math.sqrt(stdev(first) ** 2 / len(first) + stdev(last) ** 2 / len(last))
    return (fmean(last) - fmean(first)) / error if error else 0.0


def not_finite(run: Curves) -> Trouble | None:
    """Loss or gradient that is no number."""
    for each in run.records:
        for name in ("loss", "gradient_norm", "validation_loss"):
            if name in each and each[name] is None:  # as what is not finite is written
                return Trouble(
                    "a number is not finite", f"{name} at step {each['step']:,}",
                    "the learning rate, the warm-up, and the batch of this step",
                )  # fmt: skip
    return None


def no_gradient(run: Curves) -> Trouble | None:
    """Nothing arrives at the weights."""
    norms = run["gradient_norm"]
    if len(norms) >= 3 and max(norms) == 0:
        return Trouble(
            "no gradient arrives", f"its length is 0 at all {len(norms):,} steps",
            "no_grad or detach on the way from the loss to the weights, frozen weights, rewards that are all alike",
        )  # fmt: skip
    return None


def diverged(run: Curves) -> Trouble | None:
    """The training loss ends far above where it has been."""
    losses = run["loss"]
    if run.stage in POLICIES or len(losses) < ENOUGH:
        return None
    width = max(5, len(losses) // 20)
    smooth = [median(losses[i : i + width]) for i in range(0, len(losses) - width + 1, width)]
    least = min(smooth)
    if smooth[-1] > 1.5 * max(least, 0.05) and smooth[-1] - least > 0.15 * (smooth[0] - least):
        return Trouble(
            "training diverged", f"the loss was {least:.3g} and ends at {smooth[-1]:.3g}",
            "the learning rate (lower), the warm-up (longer), the clip of the gradient",
        )  # fmt: skip
    return None


def learned_nothing(run: Curves) -> Trouble | None:
    """The training loss has not moved."""
    losses = run["loss"]
    if run.stage in (*POLICIES, *PAIRS) or len(losses) < 2 * ENOUGH:
        return None
    first, last = ends(losses)
    if fmean(last) > 0.995 * fmean(first) and not diverged(run):
        return Trouble(
            "nothing was learned",
            f"the loss is {fmean(first):.4g} in the first quarter and {fmean(last):.4g} in the last",
            "the learning rate (higher), which weights are trained, whether targets belong to their inputs",
        )  # fmt: skip
    return None


def rate_too_large(run: Curves) -> Trouble | None:
    """Each step is made at another rate than was set, or at one that no adaptive optimizer bears."""
    rates, wanted = run["lr"], run.setting("train", "lr")
    if not rates or not isinstance(wanted, int | float) or isinstance(wanted, bool):
        return None
    if max(rates) > 1.01 * wanted or max(rates) > LARGEST_RATE:
        return Trouble(
            "the learning rate is too large", f"it reaches {max(rates):.3g}, and {wanted:.3g} was set",
            "the setting lr, and whatever multiplies it: schedule, scaling by batch or by devices",
        )  # fmt: skip
    return None


def strange_beginning(run: Curves) -> Trouble | None:
    """Random weights know nothing: their loss is that of a uniform guess. And an adapter changes nothing at first."""
    losses, size = run["loss"], run.about.get("vocab_size")
    if not losses or not isinstance(size, int) or size < 2 or run.steps("loss")[0] != 1:
        return None
    guess = math.log(size)
    if run.stage == "lora" and losses[0] > guess:
        return Trouble(
            "the adapter does harm before it learns",
            f"the loss is {losses[0]:.2f} at the first step, and a uniform guess has ln {size:,} = {guess:.2f}",
            "whether B begins at 0, whether base and adapter belong together, and the template",
        )  # fmt: skip
    if run.stage not in FROM_SCRATCH:
        return None
    if losses[0] > guess + 1.0:
        return Trouble(
            "worse than guessing at the first step", f"the loss is {losses[0]:.2f}, and ln {size:,} = {guess:.2f}",
            "the size of the initial weights, a softmax before the cross-entropy, logits that are scaled twice",
        )  # fmt: skip
    if losses[0] < 0.7 * guess:
        return Trouble(
            "knows too much at the first step", f"the loss is {losses[0]:.2f}, and ln {size:,} = {guess:.2f}",
            "targets that are the inputs themselves, a loss over too few classes, weights that are not new",
        )  # fmt: skip
    return None


def sees_its_answer(run: Curves) -> Trouble | None:
    """Text cannot be foretold this well."""
    held_out = run["validation_loss"]
    if run.stage in ("pretrain", "base") and held_out and held_out[-1] < 0.2:
        return Trouble(
            "sees what it is to foretell", f"the held-out loss is {held_out[-1]:.3f} nats a token",
            "the causal mask, the shift between inputs and targets, held-out text that is in the training text",
        )  # fmt: skip
    return None


def not_what_is_asked(run: Curves) -> Trouble | None:
    """What is learned is known by heart, and answers are wrong all the same.

    Who loses so few nats a token says ANSWER tokens right with a probability of e^(−ANSWER · loss), and here not.
    """
    held_out, right = run["validation_loss"], run["correct"]
    if run.stage not in TUNED or not held_out or not right:
        return None
    foreseen = math.exp(-ANSWER * held_out[-1])
    if foreseen > 0.3 and right[-1] < 0.6 * foreseen:
        return Trouble(
            "what is learned is not what is asked",
            f"the held-out loss is {held_out[-1]:.3f} nats a token, and {right[-1]:.0%} of the answers are right",
            "the causal mask, the shift between inputs and targets, the prompt in use beside that of the training",
        )  # fmt: skip
    return None


def overfitted(run: Curves) -> Trouble | None:
    """The held-out loss was lower before, while the training loss went on falling."""
    held_out, steps, losses = run["validation_loss"], run.steps("validation_loss"), run["loss"]
    if run.stage in POLICIES or len(held_out) < 4 or len(losses) < ENOUGH:
        return None
    best = min(range(len(held_out)), key=held_out.__getitem__)
    first, last = ends(losses)
    rose = held_out[-1] > 1.1 * held_out[best] and best < len(held_out) - 2
    if rose and fmean(last) < fmean(first):
        return Trouble(
            "overfitted",
            f"the held-out loss was {held_out[best]:.3g} at step {steps[best]:,} and ends at {held_out[-1]:.3g}",
            "fewer steps (early_stop_patience), more data, a smaller model, dropout or weight decay",
        )  # fmt: skip
    return None


def always_clipped(run: Curves) -> Trouble | None:
    """Every step has the same length, whatever the gradient."""
    norms, clip = run["gradient_norm"], run.setting("train", "clip")
    if not isinstance(clip, int | float) or not clip or len(norms) < ENOUGH:
        return None
    later = norms[len(norms) // 2 :]
    share = fmean(norm > clip for norm in later)
    if share > 0.98 and median(later) > 6 * clip:
        return Trouble(
            "the gradient is always clipped",
            f"in the second half {share:.0%} of the steps are beyond the clip of {clip:g}, the middle one "
            f"{median(later) / clip:.1f} times",
            "the clip (higher), or what makes the gradient so long: sums in place of means, rewards without a scale",
        )  # fmt: skip
    return None


def never_stops(run: Curves) -> Trouble | None:
    """Answers that do not end by themselves."""
    for name in ("stop_rate", "stopped"):
        shares = run[name]
        if shares and len(run["loss"]) >= 2 * ENOUGH and fmean(ends(shares)[1]) < 0.5:
            return Trouble(
                "answers do not end", f"{fmean(ends(shares)[1]):.0%} of them end by themselves",
                "whether the stop is learned: inside the loss mask, not the pad, not lost when texts are cut to length",
            )  # fmt: skip
    return None


def learns_the_prompt(run: Curves) -> Trouble | None:
    """The loss counts what is only to be read."""
    share, weight = run.about.get("learned_share"), run.setting("prompt_weight")
    if isinstance(share, float) and weight == 0 and share > 0.95:
        return Trouble(
            "the prompts are learned too", f"{share:.0%} of the tokens are learned, and prompt_weight is 0",
            "the loss mask: the assistant's words and the stop, and nothing else",
        )  # fmt: skip
    return None


def not_its_reference(run: Curves) -> Trouble | None:
    """Before the first step the policy is its own reference, and knows nothing of the pairs."""
    losses = run["loss"]
    if run.stage != "dpo" or run.setting("loss") not in ("dpo", "cdpo") or not losses or run.steps("loss")[0] != 1:
        return None
    if abs(losses[0] - math.log(2)) > 0.02:
        return Trouble(
            "the reference is another model",
            f"the loss at the first step is {losses[0]:.3f}, and must be ln 2 = 0.693",
            "whether reference and policy begin with the same weights, with dropout off in both, on the same tokens",
        )  # fmt: skip
    return None


def sides_swapped(run: Curves) -> Trouble | None:
    """Pairs come out in the wrong order."""
    for name in ("accuracy", "held_out_accuracy"):
        shares = run[name]
        if run.stage in PAIRS and len(run["loss"]) >= ENOUGH and shares and fmean(ends(shares)[1]) < 0.35:
            return Trouble(
                "pairs come out the wrong way round", f"{fmean(ends(shares)[1]):.0%} are in the right order",
                "which side is the chosen one, and the sign of the loss",
            )  # fmt: skip
    return None


def prefers_what_is_wrong(run: Curves) -> Trouble | None:
    """Pairs come out in their order, and right answers become fewer."""
    shares, right = run["accuracy"], run["correct"]
    if run.stage not in PAIRS or len(shares) < ENOUGH or len(right) < 3:
        return None
    if fmean(ends(shares)[1]) > 0.7 and right[0] >= 0.1 and right[-1] < 0.5 * right[0]:
        return Trouble(
            "it prefers what is wrong",
            f"{fmean(ends(shares)[1]):.0%} of the pairs are in the right order, and right answers fell from "
            f"{right[0]:.0%} to {right[-1]:.0%}",
            "whether the chosen answers are the good ones; then a larger beta and a lower learning rate",
        )  # fmt: skip
    return None


def drawn_by_another(run: Curves) -> Trouble | None:
    """At the first update the policy is the one that drew: each ratio is 1."""
    ratios = run["ratio_max"]
    if run.stage in POLICIES and ratios and run.steps("ratio_max")[0] == 1 and abs(ratios[0] - 1) > 1e-3:
        return Trouble(
            "answers were drawn by another policy",
            f"the largest ratio at the first update is {ratios[0]:.4f}, and must be 1",
            "dropout while drawing, temperature or filters that the loss leaves out, rounding, a stale policy",
        )  # fmt: skip
    return None


def own_reference(run: Curves) -> Trouble | None:
    """The policy changes, and its distance from the reference stays 0; or the pairs' loss, which measures it."""
    kl, norms, losses = run["kl_k3"], run["gradient_norm"], run["loss"]
    if run.stage == "dpo" and run.setting("loss") == "dpo" and len(losses) >= ENOUGH and max(norms, default=0) > 0:
        if max(abs(loss - math.log(2)) for loss in losses) < 1e-4:
            return Trouble(
                "the reference moves along", f"the loss is ln 2 = 0.693 at all {len(losses):,} steps",
                "whether the reference is a frozen copy, and not the policy itself",
            )  # fmt: skip
        return None
    if run.stage in POLICIES and len(kl) >= ENOUGH and max(norms, default=0) > 0 and max(map(abs, kl)) < 1e-9:
        return Trouble(
            "the reference moves along", f"the KL is 0 at all {len(kl):,} updates",
            "whether the reference is a frozen copy, and not the policy itself",
        )  # fmt: skip
    return None


def negative_kl(run: Curves) -> Trouble | None:
    """k1 is negative for single answers, and not on average."""
    kl = run["kl"]
    if run.stage not in POLICIES or len(kl) < ENOUGH:
        return None
    mean, error = fmean(kl), stdev(kl) / math.sqrt(len(kl))
    if mean < -0.02 and mean < -5 * error:
        return Trouble(
            "a negative KL", f"it is {mean:.3f} ± {error:.3f} nats an answer on average",
            "which of the two is the policy, and whether both are scored at the temperature that was drawn at",
        )  # fmt: skip
    return None


def all_alike(run: Curves) -> Trouble | None:
    """Answers that are compared, and are all worth the same."""
    shares = run["alike"]
    if run.stage in POLICIES and len(shares) >= 10 and fmean(ends(shares)[1]) > 0.9:
        return Trouble(
            "groups teach nothing", f"in {fmean(ends(shares)[1]):.0%} of them all answers are worth the same",
            "the difficulty of the questions, the temperature, and whether the reward reads the answers at all",
        )  # fmt: skip
    return None


def mostly_clipped(run: Curves) -> Trouble | None:
    """Most tokens are beyond the clip, where nothing is learned."""
    shares = run["clip_fraction"]
    if run.stage in POLICIES and len(shares) >= 10 and fmean(ends(shares)[1]) > 0.4:
        return Trouble(
            "most tokens are beyond the clip", f"{fmean(ends(shares)[1]):.0%} of them",
            "the learning rate (lower), the epochs (fewer), and whether old log-probabilities are of the same tokens",
        )  # fmt: skip
    return None


def collapsed(run: Curves) -> Trouble | None:
    """The policy says always the same, and is paid no more for it."""
    entropies, rewards = run["entropy"], run["reward"]
    if run.stage not in POLICIES or len(entropies) < ENOUGH or len(rewards) < ENOUGH:
        return None
    first, last = ends(entropies)
    if fmean(last) < 0.1 * fmean(first) and differ(rewards) < 1:
        return Trouble(
            "the policy collapsed",
            f"its entropy fell from {fmean(first):.3f} to {fmean(last):.4f} nats a token, and nothing was gained",
            "the learning rate (lower, with a warm-up), KL or an entropy bonus, more answers to a prompt",
        )  # fmt: skip
    return None


def wrong_sign(run: Curves) -> Trouble | None:
    """Rewards fall, steadily."""
    rewards = run["reward"]
    if run.stage in POLICIES and len(rewards) >= ENOUGH and differ(rewards) < -6:
        first, last = (fmean(each) for each in ends(rewards))
        return Trouble(
            "rewards fall", f"from {first:.3g} in the first quarter to {last:.3g} in the last",
            "the sign of the loss or of the advantage, the learning rate, answers that are cut off",
        )  # fmt: skip
    return None


def over_optimised(run: Curves) -> Trouble | None:
    """What is learned from rises, and what it stood for falls."""
    rewards, gold = run["reward"], run["gold"]
    if run.stage in POLICIES and min(len(rewards), len(gold)) >= ENOUGH and differ(rewards) > 4 and differ(gold) < -4:
        return Trouble(
            "over-optimised", f"the reward rises and the gold reward falls, from {fmean(ends(gold)[0]):.3g} to "
            f"{fmean(ends(gold)[1]):.3g}",
            "a higher price of KL, an earlier stop, an ensemble of reward models, more pairs",
        )  # fmt: skip
    return None


def blind_critic(run: Curves) -> Trouble | None:
    """The critic foresees less than a constant would."""
    shares = run["explained_variance"]
    if len(shares) >= 10 and median(ends(shares)[1]) < -0.5:
        return Trouble(
            "the critic is worse than a constant",
            f"its explained variance is {median(ends(shares)[1]):.2f} at the end",
            "the critic's learning rate and weight, the scale of returns, and whether a value is of the state before "
            "its token",
        )  # fmt: skip
    return None


def no_null_class(run: Curves) -> Trouble | None:
    """Guidance needs pictures whose class was left out."""
    shares = run["null_share"]
    wanted = run.setting("label_dropout")
    batch = run.setting("train", "batch_size")
    if not isinstance(wanted, float) or not isinstance(batch, int) or len(shares) < ENOUGH:
        return None
    n = batch * len(shares)
    if abs(fmean(shares) - wanted) > 6 * math.sqrt(max(wanted * (1 - wanted), 1e-12) / n) + 1e-9:
        return Trouble(
            "classes are dropped too often, or too rarely",
            f"for {fmean(shares):.1%} of the pictures, and {wanted:.0%} was asked",
            "whether a coin is thrown for every picture, and whether the null class is one of its own",
        )  # fmt: skip
    return None


def stale_average(run: Curves) -> Trouble | None:
    """The averaged weights are still those of long ago."""
    raw, averaged = run["validation_loss"], run["ema_validation_loss"]
    if raw and averaged and len(run["loss"]) >= 2 * ENOUGH and averaged[-1] > 1.2 * raw[-1]:
        return Trouble(
            "the averaged weights lag behind",
            f"their held-out loss is {averaged[-1]:.3g}, and {raw[-1]:.3g} without averaging",
            "ema_half_life: a shorter one, or more steps",
        )  # fmt: skip
    return None


def average_is_a_copy(run: Curves) -> Trouble | None:
    """Averaged and raw weights are the same, every time that they are measured."""
    pairs = [
        (each["validation_loss"], each["ema_validation_loss"])
        for each in run.records
        if isinstance(each.get("validation_loss"), float) and isinstance(each.get("ema_validation_loss"), float)
    ]
    learned = run["gradient_norm"]
    moved = len(pairs) >= 3 and len({raw for raw, _ in pairs}) > 1 and max(learned, default=0) > 0
    if moved and all(abs(raw - averaged) <= 1e-9 * abs(raw) for raw, averaged in pairs):
        return Trouble(
            "the averaged weights are a copy", f"both have one held-out loss, each of {len(pairs)} times",
            "ema_half_life: the share of the newest weights must be far below 1",
        )  # fmt: skip
    return None


def one_coin(run: Curves) -> Trouble | None:
    """Either all pictures of a batch have no class, or none."""
    shares, batch = run["null_share"], run.setting("train", "batch_size")
    if len(shares) < ENOUGH or not isinstance(batch, int) or batch < 8:
        return None
    if 0 < fmean(shares) < 1 and all(share in (0.0, 1.0) for share in shares):
        return Trouble(
            "one coin drops the classes of a whole batch",
            f"in each of {len(shares):,} steps all pictures have their class, or none",
            "whether a coin is thrown for every picture",
        )  # fmt: skip
    return None


def latents_not_scaled(run: Curves) -> Trouble | None:
    """A model of latents begins with velocity 0, and of data and noise of variance 1 that costs 1 + 1."""
    losses, sizes = run["loss"], run.about.get("model")
    if run.stage != "latent_drawer" or run.setting("path_name") != "linear" or not losses or run.steps("loss")[0] != 1:
        return None
    batch = run.setting("train", "batch_size")
    if not isinstance(batch, int) or not isinstance(sizes, Mapping):
        return None
    n = batch * int(sizes.get("channels", 1)) * int(sizes.get("size", 1)) ** 2
    if abs(losses[0] - 2) > 0.2 + 6 * math.sqrt(8 / n):
        return Trouble(
            "latents are not of deviation 1", f"the loss at the first step is {losses[0]:.2f}, and must be near 2",
            "the scaler of the autoencoder: once when pictures are encoded, and back when they are decoded",
        )  # fmt: skip
    return None


def strange_temperature(run: Curves) -> Trouble | None:
    """CLIP's temperature begins at 1 / 0.07 and is learned."""
    values = run["temperature"]
    if run.stage != "clip" or len(values) < ENOUGH or run.steps("temperature")[0] != 1:
        return None
    if abs(values[0] - 1 / 0.07) > 0.1 / 0.07:
        return Trouble(
            "cosines are multiplied by another temperature", f"it begins at {values[0]:.1f}, and must at 1/0.07 = 14.3",
            "whether what is learned is the logarithm, and is raised before it multiplies",
        )  # fmt: skip
    if max(values) == min(values):
        return Trouble(
            "the temperature is not learned", f"it is {values[0]:.4f} at all {len(values):,} steps",
            "whether it is a parameter, and nothing detaches it",
        )  # fmt: skip
    return None


def compared_beyond_the_group(run: Curves) -> Trouble | None:
    """In a group of deviation 1 the mean size is at most 1; where all are worth the same it is 0."""
    sizes, alike = run["advantage_size"], run["alike"]
    if run.setting("policy", "advantage") != "group_std" or len(sizes) < ENOUGH // 2 or len(alike) != len(sizes):
        return None
    most = 1 - fmean(alike)
    if fmean(sizes) > 1.1 * most + 0.03:
        return Trouble(
            "advantages are not of their group",
            f"their mean size is {fmean(sizes):.2f}, and only {most:.0%} of the groups have anything to compare",
            "over what mean and deviation are taken: the answers to one prompt, and no others",
        )  # fmt: skip
    return None


POLICIES = ("ppo", "rloo", "grpo")
TUNED = ("sft", "lora")
PAIRS = ("reward", "dpo")
SIGNATURES: tuple[Callable[[Curves], Trouble | None], ...] = (
    not_finite, no_gradient, diverged, learned_nothing, rate_too_large, strange_beginning, sees_its_answer,
    not_what_is_asked, overfitted, always_clipped, never_stops, learns_the_prompt, not_its_reference, sides_swapped,
    prefers_what_is_wrong, drawn_by_another, own_reference, negative_kl,
    all_alike, mostly_clipped, collapsed, wrong_sign, over_optimised, blind_critic, no_null_class, stale_average,
    average_is_a_copy, one_coin, latents_not_scaled, strange_temperature, compared_beyond_the_group,
)  # fmt: skip


def diagnose(about: Mapping[str, Any], records: Records) -> list[Trouble]:
    """What is wrong with a run, as far as its curves tell. `about` is its config.json, `records` its metrics.jsonl.

    Raises BadInput where nothing has been recorded.
    """
    if not records:
        raise BadInput("Nothing has been recorded of this run yet: wait for its first step.")
    run = Curves(about, records)
    found = [signature(run) for signature in SIGNATURES]
    return [each for each in found if each is not None]
