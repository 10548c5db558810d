"""What may be handed by mistake to what learns from answers, without the tests' type checks: one sentence each."""

import json
import subprocess
import sys

import pytest

BEGIN = """
import json, math, sys, tempfile
from pathlib import Path
import numpy as np
import safetensors.torch as st
import torch
from insideout.data.batch import Segment, packed, padded
from insideout.data.conversations import read_conversations, read_pairs
from insideout.errors import BadInput
from insideout.finetuning import advantages, divergence, losses, policy
from insideout.finetuning.lora import LoRAConfig, add_adapter
from insideout.finetuning.messages import check_messages
from insideout.finetuning.peft_files import load_adapter, save_adapter
from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.cache import KVCache
from insideout.transformer.generation.generate import generate
from insideout.transformer.generation.rollout import rollout
from insideout.transformer.loss import cross_entropy, token_logprobs
from insideout.transformer.model import GPT

config = GPTConfig.llama(vocab_size=19, context_length=24, d_model=16, n_layers=1, n_heads=2, n_kv_heads=2, d_ff=32)
model = GPT(config)
other = GPT(config)
other.load_state_dict(model.state_dict())
add_adapter(other, LoRAConfig(rank=2))
folder = Path(tempfile.mkdtemp())
save_adapter(other, folder / "whole")
a, column = -torch.rand(3), -torch.rand(3, 1)
bools, rows = torch.tensor([[True, True, False], [True, True, True]]), torch.zeros(2, 3)
two = [Segment([1], False), Segment([2, 3], True)]


def said(text, read=read_conversations):
    (folder / "mine.jsonl").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(folder / "mine.jsonl")


def adapter(change=None, text=None, tensors=None):
    new = folder / str(len(list(folder.iterdir())))
    new.mkdir()
    for path in (folder / "whole").iterdir():
        (new / path.name).write_bytes(path.read_bytes())
    about = json.loads((new / "adapter_config.json").read_text()) | (change or {})
    (new / "adapter_config.json").write_text(json.dumps(about) if text is None else text)
    if tensors:
        found = st.load_file(new / "adapter_model.safetensors")
        st.save_file({name: tensors(x) for name, x in found.items()}, new / "adapter_model.safetensors")
    fresh = GPT(config)
    fresh.load_state_dict(model.state_dict())
    try:
        load_adapter(fresh, new)
    finally:
        assert all(torch.equal(x, model.state_dict()[name]) for name, x in fresh.state_dict().items())


def turns(*roles):
    return json.dumps({"messages": [{"role": each, "content": each} for each in roles]})


def sides(asked, words, answered):
    chosen, prompt = [{"role": answered, "content": words}], [{"role": asked, "content": "x"}]
    return json.dumps({"prompt": prompt, "chosen": chosen, "rejected": "c"})


found = []
for line in json.load(sys.stdin):
    try:
        found.append(repr(eval(line)))
    except BadInput as error:
        found.append(f"BadInput: {error}")
    except Exception as error:
        found.append(f"{type(error).__name__}: {error}")
print(json.dumps(found))
"""

REFUSED = {
    "losses.dpo(a, a, a, column, beta=0.1)": "must have the same",
    "losses.dpo(a, a[:1], a, a[:1], beta=0.1)": "must have the same",
    "losses.dpo(a, a, a, a, beta='1')": "beta is '1'",
    "losses.dpo(a, a, a, a, beta=0.1, label_smoothing=None)": "label_smoothing is None",
    "losses.bradley_terry(a, column)": "must have the same",
    "losses.bradley_terry(a, a, column)": "must have the same",
    "losses.centring(a, column)": "must have the same",
    "losses.ipo(a, a, column, a, beta=0.1)": "must have the same",
    "losses.kto(a, a, torch.ones(3).long(), torch.tensor(0.0), beta=0.1)": "give desirable.bool()",
    "losses.kto(a, a, a < 0, column, beta=0.1)": "it is one number",
    "losses.kto(a, a, a < 0, torch.tensor(0.0), beta=0.1, desirable_weight=-1.0)": "desirable_weight is -1.0",
    "losses.kto_mismatches(2.5)": "n is 2.5",
    "losses.kto_reference_point(a[:0], a[:0])": "there is none",
    "losses.simpo(a, a, 0 * a, 0 * a, beta=1.0, gamma=0.0)": "has -0 tokens",
    "losses.simpo(a, a, a, -a + 1, beta=1.0, gamma=0.0)": "over at least 1",
    "losses.simpo(a, a, 1 - a, 1 - a, beta=1.0, gamma=math.inf)": "gamma is inf",
    "losses.orpo(a, a, 0 * a, 1 - a, weight=1.0)": "over at least 1",
    "advantages.gae(rows, rows, bools.long(), gamma=1.0, lam=1.0)": "give mask.bool()",
    "advantages.gae(rows, rows[:1], bools, gamma=1.0, lam=1.0)": "must have the same",
    "advantages.gae(rows, rows, bools[:1], gamma=1.0, lam=1.0)": "must have the same",
    "advantages.gae(rows, rows, bools, gamma='1', lam=1.0)": "gamma is '1'",
    "advantages.token_rewards(torch.ones(3), rows, bools, beta=0.1)": "give one to each",
    "advantages.token_rewards(torch.ones(2), rows, bools.long(), beta=0.1)": "give mask.bool()",
    "advantages.token_rewards(torch.ones(2), rows, bools, beta=math.nan)": "beta is nan",
    "advantages.token_rewards(torch.ones(2), rows, bools, beta=-1.0)": "beta is -1.0",
    "advantages.leave_one_out(torch.ones(3))": "give (P, G)",
    "advantages.whitened(rows, bools.long())": "give mask.bool()",
    "advantages.whitened(rows, bools[:1])": "must have the same",
    "divergence.k1(a, column)": "must have the same",
    "divergence.k2(a, column)": "must have the same",
    "divergence.k3(a, column)": "must have the same",
    "divergence.exact(a, column)": "must have the same",
    "policy.ppo(rows, rows, rows[:, :1])": "must have the same",
    "policy.ppo(rows, rows[:1], rows)": "must have the same",
    "policy.reinforce(rows, rows[:, :1])": "must have the same",
    "policy.value_loss(rows, rows, rows[:1])": "must have the same",
    "check_messages([5], answered=False)": "message 1 is int",
    "check_messages([None], answered=False)": "message 1 is NoneType",
    "check_messages([('user', 'a', 'b')], answered=False)": "give its role and its content",
    "LoRAConfig(rank=1.5)": "rank is 1.5",
    "LoRAConfig(rank=True)": "rank is True",
    "LoRAConfig(rank='8')": "rank is '8'",
    "LoRAConfig(alpha='1')": "alpha is '1'",
    "LoRAConfig(dropout=None)": "dropout is None",
    "LoRAConfig(rslora='no')": "rslora is 'no'",
    "LoRAConfig(targets='blocks.*')": "the targets are 'blocks.*'",
    "LoRAConfig(targets=(5,))": "the targets are (5,)",
    "add_adapter(GPT(config), LoRAConfig(), seed=-1)": "seed is -1",
    "add_adapter(GPT(config), LoRAConfig(), seed=2**64)": "seed is 18446744073709551616",
    "add_adapter(GPT(config), LoRAConfig(), name=5)": "The adapter's name is 5",
    "adapter({'r': 2.0})": "r is 2.0, not a whole number",
    "adapter({'r': math.inf})": "r is inf",
    "adapter({'lora_alpha': 10**400})": "lora_alpha is",
    "adapter({'use_rslora': 'false'})": "use_rslora is 'false'",
    "adapter({'init_lora_weights': 'pissa'})": "may change the base's own weights",
    "adapter(text='[' * 100_000)": "Could not read",
    "adapter(tensors=lambda x: x * math.nan)": "not all numbers of",
    "adapter(tensors=lambda x: x.long())": "not all numbers of",
    "adapter(tensors=lambda x: x > 0)": "not all numbers of",
    "said(turns('user'))": "does not end with the assistant",
    "said(turns('dragon', 'assistant'))": "the role 'dragon'",
    "said(turns('assistant', 'user', 'assistant', 'assistant'))": "out of turn",
    "said(turns('system', 'assistant'))": "out of turn",
    "said('{\"instruction\": \"\\\\ud800\", \"output\": \"b\"}')": "half a surrogate pair",
    "said(turns('user', 'assistant').replace('\"content\": \"user\"', '\"content\": \" \"'))": "empty content",
    "said(sides('user', 'b', 'user'), read_pairs)": "each end with the assistant's answer",
    "said(sides('assistant', 'b', 'assistant'), read_pairs)": "does not end with the user",
    "read_conversations(None)": "Could not read None",
    "padded([[Segment([1.7, 2], True)]], 0)": "whole numbers",
    "padded([[Segment(['1', '2'], True)]], 0)": "whole numbers",
    "padded([[Segment([2**70, 1], True)]], 0)": "no token's id",
    "padded([None], 0)": "no list of segments",
    "padded([[Segment([1, 2], 'x')]], 0)": "weight 'x'",
    "padded([[Segment([1, 2], True, rewards=[math.nan, 1.0])]], 0)": "a reward that is no finite number",
    "padded([[Segment([1], False), Segment([2], True, logprobs=['a'])]], 0)": "not a number of 0 or less",
    "padded([two], 1.5)": "pad_id is 1.5",
    "padded([two], -1)": "pad_id is -1",
    "padded([two], 0, side='middle')": "side is 'middle'",
    "packed([two], 0, '8')": "row_length is '8'",
    "packed([two], 0, 10**12)": "row_length is 1000000000000",
    "padded([two], 0).take([1])": "not rows of a batch that has 1",
    "padded([two], 0).take([0.5])": "not rows of a batch",
    "padded([two], 0).take([])": "No row was chosen",
    "generate(model, torch.zeros(1, 2, dtype=torch.long, device='meta'), 2)": "encode a text first",
    "generate(model, torch.zeros(1, 2, dtype=torch.long).to_sparse(), 2)": "encode a text first",
    "rollout(model, [[1]], 10**30, 2)": "n is 1000000000000000000000000000000",
    "rollout(model, [[1]], 1, 3, forced=lambda row, answer: 3)": "forced must return a list",
    "rollout(model, [[1]], 1, 3).documents(torch.zeros(1, 1))": "the shape of the ids",
    "KVCache(config, -1, 8)": "batch_size is -1",
    "KVCache(config, 2, 1.5)": "n_slots is 1.5",
    "KVCache(config, 10**9, 10**9)": "fits no machine",
    "KVCache(config, 2, 8).set_lengths(None)": "give a list",
    "cross_entropy(torch.ones(3, 5).long(), torch.tensor([1, 2, 3]))": "floating-point numbers",
    "cross_entropy(torch.ones(3, 5) + 0j, torch.tensor([1, 2, 3]))": "floating-point numbers",
    "token_logprobs(torch.ones(2, 3, 5), torch.tensor([[1, 2, 3]]))": "do not fit",
    "token_logprobs(torch.ones(1, 3, 5), torch.tensor([[1, 2, 5]]))": "outside the vocabulary of 5",
}  # fmt: skip

HOLDS = (
    "len(said(b'\\xef\\xbb\\xbf' + turns('user', 'assistant').encode())) == 1",
    "padded([[Segment([1], False), Segment([2, 3], True, logprobs=torch.tensor([-1.0, -2.0]))]], 0)"
    ".logprobs.tolist() == [[-1.0, -2.0, 0.0]]",
    "rollout(model, [[1]], 1, 3, forced=lambda row, answer: torch.tensor([4, 5])).ids.tolist() == [[1, 4, 5, 4]]",
    "generate(model, [[1]], 3, temperature=__import__('fractions').Fraction(1, 2)) == "
    "generate(model, [[1]], 3, temperature=0.5)",
)


@pytest.fixture(scope="module")
def outcomes():
    lines = [*REFUSED, *HOLDS]
    asked = subprocess.run(
        [sys.executable, "-c", BEGIN], input=json.dumps(lines), capture_output=True, text=True, check=True
    )
    return dict(zip(lines, json.loads(asked.stdout), strict=True))


def test_refused_in_one_sentence(outcomes):
    wrong = {line: outcomes[line] for line, words in REFUSED.items()
             if not (outcomes[line].startswith("BadInput: ") and words in outcomes[line])}  # fmt: skip
    assert not wrong, "\n".join(f"{line}\n    {found}" for line, found in wrong.items())


@pytest.mark.parametrize("line", HOLDS)
def test_right_answers(outcomes, line):
    assert outcomes[line] == "True"
