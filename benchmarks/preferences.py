"""Losses of preferences, beside `trl` in the same run: same weights, same tokens, the trainers' own `compute_loss`.

A Llama of the laptop recipe's shape, its reference another one, and pairs of answers of many lengths, padded on the
right. Ours goes from documents to loss by `insideout.finetuning`; theirs is handed the same ids and masks. Where trl
departs from the paper (IPO's mean over tokens, ORPO's likelihood of the prompt as well), the row says what is compared.
Then the time of loss and gradient of a DPO step, ratios of interleaved repeats. Needs trl beside what the extra `hub`
brings: pip install trl. Writes benchmarks/results/preferences.json.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from insideout.data.batch import Batch, Document, Segment, padded
from insideout.finetuning import losses
from insideout.finetuning.preferences import (
    PairBatch,
    answer_logprobs,
    mismatched,
    preference_objective,
    reference_logprobs,
)
from insideout.finetuning.reward_model import RewardModel, reward_objective
from insideout.machine import machine
from insideout.transformer.config import GPTConfig
from insideout.transformer.exchange.hub import to_hf
from insideout.transformer.loss import next_token_loss
from insideout.transformer.model import GPT

CONFIG = GPTConfig.llama(
    vocab_size=1024, context_length=256, d_model=192, n_layers=4, n_heads=6, n_kv_heads=6, d_ff=512
)  # fmt: skip
PAD, STOP, BETA = 1023, 1022, 0.1
SAME = 1e-5


def pairs(n: int, seed: int = 0) -> list[Document]:
    """Chosen and rejected answers to prompts of 40 to 80 tokens, of 3 to 30 tokens and the stop."""
    drawn = torch.Generator().manual_seed(seed)

    def ids(low: int, high: int) -> list[int]:
        length = int(torch.randint(low, high, (), generator=drawn))
        return [int(id) for id in torch.randint(0, 1022, (length,), generator=drawn)]

    found: list[Document] = []
    for _ in range(n):
        prompt = ids(40, 80)
        found += [[Segment(prompt, learn=False), Segment([*ids(3, 30), STOP], learn=True)] for _ in range(2)]
    return found


def gpt(seed: int) -> GPT:
    """A model, its numbers larger than at first: an untrained one says nearly the same of everything."""
    torch.manual_seed(seed)
    model = GPT(CONFIG)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(2)
    return model.eval()


def theirs_of(batch: Batch, order: list[int]) -> dict[str, Tensor]:
    """The batch as trl's collators give it, its rows in this order: trl has all chosen first, then all rejected."""
    attention = (batch.segments >= 0).long()[order]
    answer = torch.zeros_like(batch.ids)
    answer[:, 1:] = batch.mask[:, :-1].long()  # we mark the position that says a token, they the token
    return {"input_ids": batch.ids[order], "attention_mask": attention, "completion_mask": answer[order]}


def trainer_of(kind: str, model: Any, reference: Any, folder: str, **settings: Any) -> Any:
    """One of trl's trainers on this model. Its data are of no use here, and its tokenizer knows no word."""
    import trl
    from datasets import Dataset
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(1024)}, unk_token="w0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="w1023", eos_token="w1022", unk_token="w0")
    config = getattr(trl, f"{kind}Config")(
        output_dir=folder, report_to="none", use_cpu=True, bf16=False, gradient_checkpointing=False,
        per_device_train_batch_size=2, **settings,
    )  # fmt: skip
    rows = [{"prompt": "w1", "chosen": "w2", "rejected": "w3"}] * 2
    if kind == "KTO":
        rows = [{"prompt": "w1", "completion": f"w{i}", "label": bool(i % 2)} for i in range(4)]  # type: ignore[dict-item]
    extra = {} if kind == "Reward" else {"ref_model": reference}
    return getattr(trl, f"{kind}Trainer")(
        model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, **extra
    )


def row(ours: Tensor, theirs: Tensor) -> dict[str, float]:
    """One comparison."""
    off = abs(float(ours) - float(theirs))
    return {
        "ours": float(ours),
        "trl": float(theirs),
        "off": off,
        "off, as a share": off / max(abs(float(theirs)), 1.0),
    }


def compare(n: int) -> tuple[dict[str, dict[str, float]], dict[str, Callable[[], None]]]:
    """(every loss, ours and theirs; what a step of DPO is, ours and theirs)."""
    from trl.experimental.cpo import CPOTrainer
    from trl.experimental.orpo import ORPOTrainer

    documents = pairs(n)
    batch, order = padded(documents, PAD), [*range(0, 2 * n, 2), *range(1, 2 * n, 2)]
    policy, reference = gpt(0), gpt(1)
    said = reference_logprobs(reference, documents, PAD)
    given = theirs_of(batch, order)
    found: dict[str, dict[str, float]] = {}

    with tempfile.TemporaryDirectory() as folder:
        dpo = trainer_of("DPO", to_hf(policy), to_hf(reference), folder, beta=BETA)
        total, count, _ = preference_objective("dpo", beta=BETA).loss(policy, PairBatch(batch, said))
        found["DPO"] = row(total / count, dpo.compute_loss(dpo.model, dict(given)))

        ipo = trainer_of("DPO", to_hf(policy), to_hf(reference), folder, beta=BETA, loss_type=["ipo"])
        now = answer_logprobs(policy, batch)
        lengths = batch.sums(torch.ones_like(batch.ids, dtype=torch.float32))
        a, b, c, d = (x / m for x, m in zip(
            (now[0::2], now[1::2], said[0::2], said[1::2]), (lengths[0::2], lengths[1::2]) * 2, strict=True
        ))  # fmt: skip
        found["IPO, of means over tokens"] = row(
            losses.ipo(a, b, c, d, beta=BETA).mean(), ipo.compute_loss(ipo.model, dict(given))
        )

        kto = trainer_of("KTO", to_hf(policy), to_hf(reference), folder, beta=BETA)
        others = mismatched(documents)
        crossed = padded(others, PAD)
        total, count, _ = preference_objective("kto", beta=BETA).loss(
            policy, PairBatch(batch, said, crossed, reference_logprobs(reference, others, PAD))
        )
        everything = list(range(2 * n))
        asked = theirs_of(batch, everything) | {"label": torch.tensor([True, False] * n)}
        asked |= {f"KL_{name}": x for name, x in theirs_of(crossed, everything).items()}
        found["KTO"] = row(total / count, kto.compute_loss(kto.model, asked))

        stub: Any = SimpleNamespace(
            accelerator=SimpleNamespace(device="cpu"), beta=2.0, alpha=0.0, loss_type="simpo", simpo_gamma=0.5,
            label_smoothing=0.0,
        )  # fmt: skip
        simpo = losses.simpo(now[0::2], now[1::2], lengths[0::2], lengths[1::2], beta=2.0, gamma=0.5)
        found["SimPO"] = row(simpo.mean(), CPOTrainer.cpo_loss(stub, a, b)[0].mean())
        stub.loss_type, stub.beta, stub.label_smoothing = "sigmoid", BETA, 0.2
        cdpo = losses.dpo(now[0::2], now[1::2], said[0::2], said[1::2], beta=BETA, label_smoothing=0.2)
        gains = now - said
        found["cDPO"] = row(cdpo.mean(), CPOTrainer.cpo_loss(stub, gains[0::2], gains[1::2])[0].mean())
        stub.beta = 0.5
        orpo = losses.orpo(now[0::2], now[1::2], lengths[0::2], lengths[1::2], weight=0.5) + a  # without the likelihood
        found["ORPO, the odds ratio"] = row(orpo.mean(), -ORPOTrainer.odds_ratio_loss(stub, a, b)[0].mean())

        judge = RewardModel.of(policy)
        reward = trainer_of("Reward", classifier(policy, judge), None, folder, center_rewards_coefficient=0.01)
        total, count, _ = reward_objective(centring_weight=0.01).loss(judge.eval(), batch)
        unmasked = {name: given[name] for name in ("input_ids", "attention_mask")}
        found["reward model, centred"] = row(total / count, reward.compute_loss(reward.model, dict(unmasked)))

    total, count = next_token_loss(policy, batch)
    labels = given["input_ids"].masked_fill(given["completion_mask"] == 0, -100)
    theirs = to_hf(policy)(**unmasked, labels=labels).loss
    found["supervised, beside transformers"] = row(total / count, theirs)

    objective = preference_objective("dpo", beta=BETA)
    with_reference = dict(given) | {"ref_chosen_logps": said[0::2], "ref_rejected_logps": said[1::2]}
    dpo.precompute_ref_logps = True  # as ours does

    def ours_step() -> None:
        policy.zero_grad()
        objective.loss(policy, PairBatch(batch, said))[0].backward()

    def their_step() -> None:
        dpo.model.zero_grad()
        dpo.compute_loss(dpo.model, dict(with_reference)).backward()

    return found, {"ours": ours_step, "trl": their_step}


def classifier(policy: GPT, judge: RewardModel) -> Any:
    """Their reward model with our weights: a classifier of one class."""
    from transformers import LlamaForSequenceClassification

    causal = to_hf(policy)
    config = causal.config
    config.num_labels, config.pad_token_id = 1, PAD
    model = LlamaForSequenceClassification(config)
    model.model.load_state_dict(causal.model.state_dict())
    model.score.load_state_dict({"weight": judge.gpt.head.weight.detach()})
    return model.eval()


def main() -> None:
    import trl

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found, steps = compare(arguments.pairs)
    print(f"{'':<34}{'ours':>12}{'trl':>12}{'off':>12}")
    for name, each in found.items():
        print(f"{name:<34}{each['ours']:>12.6f}{each['trl']:>12.6f}{each['off']:>12.1e}")
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(arguments.repeats + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if repeat:  # the first pays for the later ones
                seconds[name].append(time.perf_counter() - start)
    ratios = sorted(b / a for a, b in zip(seconds["ours"], seconds["trl"], strict=True))
    worst = max(each["off, as a share"] for each in found.values())
    record = {
        "what": f"{arguments.pairs} pairs, float32; a step of DPO is loss and gradient, the reference known",
        "must reach": "losses within 1e-5 of trl's, a step no slower than trl's",
        "worst": worst,
        "reached": worst <= SAME and statistics.median(ratios) >= 1,
        "losses": found,
        "seconds of a step of DPO": {name: sorted(each) for name, each in seconds.items()},
        "trl's time over ours": {"median": statistics.median(ratios), "of each repeat": ratios},
        "trl": trl.__version__,
        "torch": torch.__version__,
        "machine": machine(),
        "threads": arguments.threads,
        "date": date.today().isoformat(),
    }
    path = Path(__file__).parent / "results" / "preferences.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(f"trl's time over ours, a step of DPO: {statistics.median(ratios):.2f}; written to {path}")


if __name__ == "__main__":
    main()
