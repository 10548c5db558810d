"""What the faults of the museum are called, what gives each away, and where it was met.

Apart from the switches, so that a better word trains nothing anew. Used by exhibits.py beside this.
"""

from dataclasses import dataclass

__all__ = ["LABELS", "Label"]


@dataclass(frozen=True)
class Label:
    """The plate under an exhibit."""

    words: str
    """What is broken, in a few words."""
    symptom: str
    """What gives it away."""
    source: str
    """Where it was met: threads and works."""


LABELS = {
    "mask_off_by_one": Label(
        "the loss mask is one place late",
        "The loss falls, and answers are wrong from their first letter on: that one was never learned, and the others"
        " follow from it.",
        "minimind #395; mlx-lm-lora #80; OpenRLHF #294",
    ),
    "pad_is_stop": Label(
        "the pad token is the stop token, and pads are masked",
        "Everything looks well but the share of answers that end by themselves: it is 0, and each answer runs on "
        "until it is cut off.",
        "mlabonne/llm-course #33; unsloth #416; DeepSeek-Coder #163; trl #734",
    ),
    "prompt_learned": Label(
        "the prompt is learned too",
        "The loss stays high, at what random letters cost, and the share of learned tokens is 100%.",
        "marin #7237; trl PR #4201",
    ),
    "shifted_twice": Label(
        "targets are shifted twice",
        "Answers begin with their second letter and leave out every other one: the letter after the next was learned,"
        " and no loss shows it.",
        "the mirror image of ms-swift PR #8436; a classic where the model shifts by itself",
    ),
    "sees_ahead": Label(
        "attention sees what it is to foretell",
        "The loss falls to nothing, in training and on held-out data, and most answers are wrong.",
        "a classic: a mask that is lost between two ways to compute attention",
    ),
    "documents_leak": Label(
        "packed documents see each other",
        "The loss falls more slowly, and right answers lag behind it: alone, a word stands where it never stood.",
        "trl #1230; LlamaFactory #2289; functionary #265; nanochat PR #400",
    ),
    "lr_too_large": Label(
        "the learning rate is a hundred times too large",
        "The loss rises above where it began and comes down to a plateau that is far too high; hardly an answer is "
        "right.",
        "a classic: a decimal point, or the rate of an adapter for a whole model",
    ),
    "lora_b_not_zero": Label(
        "LoRA's B does not begin at 0",
        "The first loss is far above that of the model that was gone on from: it was damaged before it learned.",
        "Hu et al. 2021, §4.1, say why B begins at 0",
    ),
    "pair_sign": Label(
        "the pair loss has the wrong sign",
        "The loss falls and so does the share of pairs in the right order, to nearly 0.",
        "a classic; twinkle PR #112 is of its kind",
    ),
    "score_at_the_pad": Label(
        "the score is read at the last pad",
        "One answer has two scores: alone another one than beside longer answers.",
        "transformers #35352, #35909, #24265; trl #2778; reward-bench #137",
    ),
    "labels_flipped": Label(
        "chosen and rejected are swapped in the data",
        "Pairs come out in their order, more and more of them, and right answers become fewer: what is called chosen "
        "is what is wrong.",
        "a classic: a column that is named otherwise in another data set",
    ),
    "reference_moves": Label(
        "the reference is the policy of this step",
        "The loss is 0.693 at every step and never moves, while the margin grows without end: there is nothing that "
        "could be gained enough.",
        "a classic: a copy that shares its weights",
    ),
    "reference_left_out": Label(
        "the reference is left out of the loss",
        "The first loss is not 0.693: log-probabilities are compared themselves, and not what was gained.",
        "of the kind of ms-swift PR #10167, where another loss was taken in silence",
    ),
    "dropout_in_the_policy": Label(
        "dropout is on where the policy learns, and off where it draws",
        "The largest ratio of the first update is not 1: what has just been drawn already has another probability.",
        "trl #454, #744, PR #1540; reef PR #536",
    ),
    "rounded_logprobs": Label(
        "log-probabilities are kept in 16 bits",
        "The largest ratio of the first update is a little off 1, and all else looks well.",
        "verl PR #3694, #6280; maxtext PR #5231",
    ),
    "advantage_sign": Label(
        "the policy's loss has the wrong sign",
        "The reward falls, steadily.",
        "a classic; open-r1 #239 and trl #2703 ask whether a rising loss is one",
    ),
    "kl_sign": Label(
        "going away from the reference is rewarded",
        "The KL rises without end, answers run on until they are cut off, since each token that goes away pays, and "
        "the reward falls to nothing.",
        "divergences with their sides swapped: trl PR #3043, twinkle PR #112",
    ),
    "kl_that_is_none": Label(
        "the KL in the loss is k1, whose gradient is 0 on average",
        "The KL goes where it would go without a leash, whatever its price.",
        "reasoning-from-scratch 7_5_plus_kl.py; open-instruct #534, #535; trl PR #4638",
    ),
    "reference_follows": Label(
        "the reference is the policy itself",
        "The KL is exactly 0 from the first update to the last, though the policy changes.",
        "a classic: a copy that shares its weights",
    ),
    "reward_lost": Label(
        "the score stands one place behind the stop, where the mask loses it",
        "The reward stays where it was and the critic's loss is next to nothing: all that is paid for is staying near"
        " the reference.",
        "trl #3750, #1893, PR #5338; miles PR #1827",
    ),
    "critic_detached": Label(
        "the critic's loss is detached",
        "The critic's explained variance stays where it began, far below 0, since it never learns.",
        "CoursIA PR #15256",
    ),
    "no_baseline": Label(
        "advantages have no baseline",
        "What was drawn is made likelier, good or bad, so that the entropy falls faster than the reward rises.",
        "a classic: GRPO without the mean of its group",
    ),
    "somewhere_in_it": Label(
        "an answer counts as right that has the truth somewhere in it",
        "The reward rises and the true reward falls, and answers grow until they are cut off.",
        "open-r1 #293; verifiers PR #213",
    ),
    "old_is_reference": Label(
        "the old policy of the ratio is the reference",
        "The KL is exactly 0 after the first round, since the old policy is the reference; the ratio is that to where"
        " training began, so that more and more tokens are beyond the clip.",
        "a classic of short GRPO code",
    ),
    "compared_with_the_batch": Label(
        "answers are compared with all answers of the round, and not with those to their prompt",
        "The size of the advantages is larger than the share of mixed groups allows: groups whose answers "
        "are all worth "
        "the same teach too, and what they teach is which prompts are easy.",
        "a classic: a mean without its dimension",
    ),
    "loss_without_gradient": Label(
        "the log-probabilities are detached in the policy's loss",
        "The loss is 0 and its gradient thousands of times shorter than a sound run's: rounding errors of "
        "the KL, which "
        "the optimizer makes full steps of, so that no guard sees that nothing is learned. The reward goes nowhere.",
        "open-r1 #239, trl #2703 ask about a loss of 0; GRPO under no_grad is a classic of short code",
    ),
    "one_seed_for_all": Label(
        "the answers to a prompt are drawn with one seed",
        "All groups are alike, always, the size of the advantages is 0, and nothing is learned.",
        "a classic: a fixed seed, handed on for every answer of a group",
    ),
    "unreadable_is_right": Label(
        "what cannot be read counts as right",
        "The reward rises to 1 and the true reward falls to 0: answers become what nobody can read.",
        "open-r1 #293, PR #566; cookbook #335",
    ),
    "labels_one_step_late": Label(
        "the verifier's labels stand one step late",
        "The training loss falls, and the held-out loss rises. Right steps are placed below wrong ones.",
        "LightRFT PR #53: the step's boundary off by one in 16 of 16",
    ),
    "unlabelled_is_right": Label(
        "steps without a label are learned as right ones",
        "The share of marks that are right is too high, and the accuracy with it: it looks better than a sound run.",
        "trl PR #2127: a label of -100 cast to True",
    ),
    "probabilities_softened": Label(
        "the temperature divides probabilities, and not logits",
        "The loss is next to nothing from the first step on, since all is soft that is compared, and fewer "
        "answers become "
        "right.",
        "a classic: a softmax of a softmax",
    ),
    "unreadable_votes": Label(
        "answers that cannot be read vote, as if they were one answer",
        "The more vote, the more often nobody's answer wins.",
        "sieval PR #88: votes counted on verdicts and not on answers",
    ),
    "velocity_sign": Label(
        "the target is noise less data, and not data less noise",
        "No loss shows it, since held-out pictures are measured with the same target: every curve is that of "
        "a sound run,"
        " to the last digit. What is drawn goes from noise to more than noise.",
        "two conventions of the field: OneTrainer #561, diffusers PR #14011, rectified-flow PR #18",
    ),
    "time_not_mixed": Label(
        "the time is told, and the mixture is always half and half",
        "Near the noise and near the data the loss is one and the same, where a sound run has two. "
        "Pictures hardly show it.",
        "a classic: a variable that is drawn and not used",
    ),
    "time_cut_off": Label(
        "times are made whole numbers, so that all are 0",
        "The loss stays a little above that of a sound run, in training and held out. What is drawn shows "
        "next to nothing"
        ": how much noise there is can be seen in the picture itself.",
        "of the kind of SiT #24, REPA #40, flow_matching #17: time in 0..1 into waves that were made for 0..1000",
    ),
    "paper_is_grey": Label(
        "pictures are learned in 0..1 and shown as if in -1..1",
        "The loss begins and ends far too low, since there is less to be told; what is drawn has grey paper.",
        "diffusers #8708 and StableDiffusion-PyTorch #33 are of its kind: pictures that are not normalised",
    ),
    "one_coin_for_all": Label(
        "one coin drops the classes of the whole batch",
        "In no step are some pictures without their class: all are, or none. Neither loss nor pictures show it.",
        "flow_matching, examples/image",
    ),
    "class_never_dropped": Label(
        "the class is never dropped",
        "The share of pictures without a class is 0. Without guidance all is well; with it, the "
        "null class that is steered "
        "away from was never learned, and digits come out further from real ones, with more ink.",
        "DALLE2-pytorch #235, #47; Sana #188; open-diffusion #6",
    ),
    "guided_away": Label(
        "guidance has its two branches exchanged",
        "Nothing that is trained is wrong, and unguided pictures are what was asked for; guided ones are any "
        "digit but it.",
        "a classic: conditional and unconditional halves of a batch, taken apart in the wrong order",
    ),
    "average_is_a_copy": Label(
        "the average of the weights is a copy of the newest",
        "Held-out losses of raw and averaged weights are the same number, each time.",
        "diffusers #1864; timm #1182: a decay that is overwritten",
    ),
    "average_stands_still": Label(
        "the average of the weights stays what it was after the first step",
        "The held-out loss of the averaged weights does not fall. They are what is drawn with: noise, from a "
        "model that "
        "learned as well as any.",
        "ai-toolkit #524; an average that is never updated, or updated in another copy",
    ),
    "drawn_backwards": Label(
        "pictures are drawn from t = 1 to 0, by a model for which 0 is noise",
        "No loss shows it. What is drawn looks like that of a velocity with the wrong sign.",
        "OneTrainer #561, #615; diffusers #14013",
    ),
    "scaler_forgotten": Label(
        "latents are learned as the encoder gives them, and scaled back when they are decoded",
        "The first loss is not 2, that of latents with deviation 1 and of noise; here the "
        "encoder's are larger, and so is it.",
        "latent-diffusion #187; VDM_EVFI #4; taehv #22; mlcommons/training #721",
    ),
    "scaled_twice": Label(
        "latents are scaled twice before they are learned",
        "The first loss is not 2, and lies on the other side of it than where the scaler was forgotten.",
        "diffusers #8708; DiffSynth #1536",
    ),
    "kl_not_divided": Label(
        "the KL is summed over a picture's numbers, and the error averaged",
        "The KL of the training curve is many times what it should be for what is learned, and pictures come "
        "back blurred: "
        "the latent was priced out.",
        "a classic: a sum beside a mean",
    ),
    "kl_averaged": Label(
        "the KL is averaged over the latent's numbers",
        "The KL says so few nats that no picture could be told by them, and yet pictures come "
        "back: its price is next to "
        "nothing.",
        "a classic: a mean beside a sum",
    ),
    "temperature_not_raised": Label(
        "the temperature is its own logarithm",
        "The temperature begins at 2.7 in place of 14.3, and the loss stays high, since cosines end at 1.",
        "a classic of short CLIP code",
    ),
    "temperature_not_learned": Label(
        "the temperature is no parameter",
        "Its curve is a straight line, exactly.",
        "a classic: a tensor in place of a parameter",
    ),
}
"""By the name of the fault."""
