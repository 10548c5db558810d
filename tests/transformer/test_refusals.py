"""What a user may hand over by mistake, without the tests' type checks: one sentence, or the right answer."""

import json
import re
import subprocess
import sys

import pytest

BEGIN = """
import json, math, sys
import numpy as np
import torch
from insideout.errors import BadInput
from insideout.transformer.attention import attention_pattern
from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.cache import KVCache
from insideout.transformer.generation.generate import generate
from insideout.transformer.generation.lookup import generate_by_lookup
from insideout.transformer.generation.rollout import rollout
from insideout.transformer.generation.speculative import speculate
from insideout.transformer.loss import cross_entropy
from insideout.transformer.model import GPT

torch.manual_seed(0)
config = GPTConfig(vocab_size=19, context_length=24, d_model=16, n_layers=1, n_heads=2)
model = GPT(config)
cache = KVCache(config, 2, 5)
expected = generate(model, [[1, 2]], 6, temperature=0.0, stop=[3, 4])
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
    "generate(model, [1, 2], 3)": "Prompts come as a batch",
    "generate(model, torch.tensor([1, 2]), 3)": "Prompts come as a batch",
    "generate(model, np.array([1, 2]), 3)": "Prompts come as a batch",
    "generate(model, torch.tensor(1), 3)": "encode a text first",
    "generate(model, 'text', 3)": "encode a text first",
    "generate(model, ['text'], 3)": "Prompts come as a batch",
    "generate(model, {1: 2}, 3)": "encode a text first",
    "generate(model, None, 3)": "encode a text first",
    "generate(model, [[1.0, 2.0]], 3)": "ids are whole numbers",
    "generate(model, torch.ones(1, 2), 3)": "ids are whole numbers",
    "generate(model, [[True]], 3)": "ids are whole numbers",
    "generate(model, [['1']], 3)": "ids are whole numbers",
    "generate(model, [[[1]]], 3)": "ids are whole numbers",
    "generate(model, torch.zeros(0, 3, dtype=torch.long), 3)": "no prompt",
    "generate(model, torch.zeros(2, 0, dtype=torch.long), 3)": "empty",
    "generate(model, [[1]], 2.5)": "max_new_tokens is 2.5",
    "generate(model, [[1]], None)": "max_new_tokens is None",
    "generate(model, [[1]], '3')": "max_new_tokens is '3'",
    "generate(model, [[1]], -3)": "max_new_tokens is -3",
    "generate(model, [[1]], 10**30)": "ask for at most 23",
    "generate(model, [[1]], 3, temperature='hot')": "temperature is 'hot'",
    "generate(model, [[1]], 3, temperature=None)": "temperature is None",
    "generate(model, [[1]], 3, temperature=float('nan'))": "temperature is nan",
    "generate(model, [[1]], 3, temperature=torch.tensor([1.0, 2.0]))": "temperature",
    "generate(model, [[1]], 3, top_k=2.5)": "top_k is 2.5",
    "generate(model, [[1]], 3, top_k=True)": "top_k is True",
    "generate(model, [[1]], 3, top_p='0.9')": "top_p is '0.9'",
    "generate(model, [[1]], 3, top_p=90)": "top_p is 90",
    "generate(model, [[1]], 3, min_p=float('inf'))": "min_p is inf",
    "generate(model, [[1]], 3, seed=2**64)": "seed is 18446744073709551616",
    "generate(model, [[1]], 3, seed=2**63 - 1 + 1)": "seed",
    "generate(model, [[1]], 3, seed=1.5)": "seed is 1.5",
    "generate(model, [[1]], 3, stop='.')": "stop holds '.'",
    "generate(model, [[1]], 3, stop=['.'])": "stop holds '.'",
    "generate(model, [[1]], 3, stop=[[3, 4]])": r"stop holds \[3, 4\]",
    "generate(model, [[1]], 3, stop=torch.tensor([[3]]))": r"stop holds \[3\]",
    "generate(model, [[1]], 3, stop=3.0)": "stop holds 3.0",
    "generate(model, [[1]], 3, stop=torch.tensor([3.0]))": "stop holds 3.0",
    "generate(model, [[1]], 3, stop=True)": "stop holds True",
    "rollout(model, [1, 2], 2, 3)": "Prompts come as a batch",
    "rollout(model, [[1, 2]], 1.5, 3)": "n is 1.5",
    "rollout(model, [[1, 2]], 0, 3)": "n is 0",
    "rollout(model, [[1, 2]], 2, 3, seed='x')": "seed is 'x'",
    "rollout(model, [[1, 2]], 2, 3, seed=[1, 2.5])": "seed is 2.5",
    "rollout(model, [[1, 2]], 2, 3, forced=lambda row, answer: [1.5])": "forced gave 1.5",
    "generate_by_lookup(model, [1, 2], 3)": "Prompts come as a batch",
    "generate_by_lookup(model, [[1, 2]], 3, n_draft=1.5)": "n_draft is 1.5",
    "speculate(model, model, [1, 2], 3)": "Prompts come as a batch",
    "speculate(model, model, [[1.0]], 3)": "ids are whole numbers",
    "speculate(model, model, [[1]], 3, temperature=float('nan'))": "temperature is nan",
    "speculate(model, model, [[1]], 3, seed=2**64)": "seed",
    "speculate(model, model, [[1]], 2.5)": "max_new_tokens is 2.5",
    "speculate(model, GPT(config).to('meta'), [[1]], 3)": "move one to the other",
    "cache.set_lengths([1])": "2 rows and was given 1 lengths",
    "cache.set_lengths([1, 2, 3])": "2 rows and was given 3 lengths",
    "cache.set_lengths([1, 6])": "A row's length is 6; it must be at most 5",
    "cache.set_lengths([-1, 2])": "A row's length is -1",
    "cache.set_lengths([1.5, 2])": "A row's length is 1.5",
    "cross_entropy(torch.zeros(4, 7), torch.tensor([3]))": r"\(4, 7\) and targets of shape \(1,\)",
    "cross_entropy(torch.zeros(4, 7), torch.tensor(3))": r"targets of shape \(\)",
    "cross_entropy(torch.zeros(1, 7), torch.zeros(0, dtype=torch.long))": r"targets of shape \(0,\)",
    "cross_entropy(torch.zeros(4, 7), torch.tensor([1, 2, 3, 4, 5]))": "one target a row",
    "cross_entropy(torch.zeros(2, 4, 7), torch.zeros(2, 4, dtype=torch.long))": "one target a row",
    "cross_entropy(torch.zeros(4, 7), torch.tensor([1.0, 2.0, 3.0, 4.0]))": "torch.float32",
    "attention_pattern(torch.ones(1, 1, 2, 4), torch.ones(1, 1, 2, 4), torch.ones(2, 2).long())": "booleans",
}  # fmt: skip

ACCEPTED = [
    f"generate(model, {ids}, {n}, temperature={temperature}, stop={stop}) == expected"
    for ids, n, temperature, stop in [
        ("torch.tensor([[1, 2]])", "6", "0", "[3, 4]"),
        ("np.array([[1, 2]])", "np.int64(6)", "np.float32(0)", "np.array([3, 4])"),
        ("[torch.tensor([1, 2])]", "torch.tensor(6)", "torch.tensor(0.0)", "torch.tensor([3, 4])"),
        ("((1, 2),)", "6", "0.0", "{3, 4}"),
        ("[range(1, 3)]", "6", "0.0", "(np.int64(3), torch.tensor(4))"),
    ]
] + [
    "generate(model, [[1]], 8, stop=np.int64(5)) == generate(model, [[1]], 8, stop=5)",
    "generate(model, [[1]], 8, stop=torch.tensor(5)) == generate(model, [[1]], 8, stop=[5])",
    "generate(model, [[1]], 8, top_k=10**9, top_p=1) == generate(model, [[1]], 8)",
    "generate(model, [[1]], 8, temperature=1e-40) == generate(model, [[1]], 8, temperature=0)",
    "cache.set_lengths(torch.tensor([3, 4])) or cache.lengths.tolist() == [3, 4]",
    "cache.set_lengths(np.array([2, 2])) or cache.aligned == 2",
]


@pytest.fixture(scope="module")
def answers() -> dict[str, str]:
    lines = [*REFUSED, *ACCEPTED]
    run = subprocess.run(
        [sys.executable, "-c", BEGIN], input=json.dumps(lines), capture_output=True, text=True, check=True, timeout=600
    )
    return dict(zip(lines, json.loads(run.stdout), strict=True))


@pytest.mark.parametrize("line", REFUSED)
def test_it_is_refused_in_one_sentence(answers, line):
    assert re.match(f"BadInput: .*{REFUSED[line]}", answers[line]), answers[line]
    assert "\n" not in answers[line]


@pytest.mark.parametrize("line", ACCEPTED)
def test_whatever_holds_the_numbers_the_answer_is_the_same(answers, line):
    assert answers[line] == "True"
