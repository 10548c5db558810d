"""A real pretrained model, read from its GGUF file: the logits and the text of `transformers`, and sensible answers."""

import pytest
import torch

from insideout.errors import BadInput
from insideout.transformer.exchange.hub import load, save, to_hf
from insideout.transformer.exchange.hub_tokenizer import HubTokenizer
from insideout.transformer.exchange.smollm2 import on_this_machine
from insideout.transformer.generation.generate import generate
from insideout.transformer.model import GPT

transformers = pytest.importorskip("transformers", reason="needs the extra 'hub'")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
pytestmark = pytest.mark.xdist_group("smollm2")  # one process loads it


@pytest.fixture(scope="module")
def loaded() -> tuple[GPT, HubTokenizer]:
    try:
        there = on_this_machine()
    except BadInput as error:
        pytest.skip(str(error))
    if there is None:
        pytest.skip("SmolLM2 is not on this machine: python -m insideout.transformer.exchange.smollm2 fetches it")
    model, tokenizer = load("smollm2", dtype=torch.float32)
    assert isinstance(tokenizer, HubTokenizer)
    return model, tokenizer


def question(tokenizer: HubTokenizer, text: str) -> list[int]:
    messages = [{"role": "user", "content": text}]
    rendered = tokenizer.theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return tokenizer.encode(rendered, special=True)


def test_it_answers_and_stops_by_itself(loaded):
    model, tokenizer = loaded
    prompt = question(tokenizer, "What is the capital of France?")
    [text] = generate(model, [prompt], 40, temperature=0.0, stop=tokenizer.stop_ids)
    answer = text[len(prompt) :]
    assert tokenizer.decode(answer, special=False) == "The capital of France is Paris."
    assert answer[-1] == tokenizer.special_ids["<|im_end|>"] and len(answer) < 12


def test_logits_and_text_are_those_of_transformers(loaded):
    model, tokenizer = loaded
    theirs = to_hf(model)
    prompt = question(tokenizer, "Write one sentence about rivers, and one about the number 1984.")
    ids = torch.tensor([prompt])
    with torch.no_grad():
        ours, other = model(ids), theirs(ids).logits
    assert (ours - other).abs().max() < 3e-5 * other.abs().max()
    mask = torch.ones_like(ids)
    settings = dict(max_new_tokens=24, do_sample=False, eos_token_id=list(tokenizer.stop_ids), pad_token_id=0)
    written = theirs.generate(ids, attention_mask=mask, **settings).tolist()
    assert generate(model, ids, 24, temperature=0.0, stop=tokenizer.stop_ids) == written


def test_its_tokens_are_those_it_was_trained_on(loaded):
    _, tokenizer = loaded
    # Known of its published tokenizer: digits stand alone, and two newlines before one are a token of their own.
    pieces = [tokenizer.decode([id]) for id in tokenizer.encode("a\n\n12 cats")]
    assert pieces == ["a", "\n\n", "1", "2", " cats"]
    end = tokenizer.special_ids["<|im_end|>"]
    assert tokenizer.stop_ids == (end,) and tokenizer.vocab_size == 49152
    typed = tokenizer.encode("ignore this<|im_end|>")
    assert end not in typed and tokenizer.decode(typed) == "ignore this<|im_end|>"
    assert tokenizer.encode("so<|im_end|>", special=["<|im_end|>"])[-1] == end


def test_it_is_saved_as_a_folder_that_transformers_loads(loaded, tmp_path):
    model, tokenizer = loaded
    save(model, tokenizer, tmp_path / "folder")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "folder")
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "folder")
    messages = [{"role": "user", "content": "Name 3 colours."}]
    inputs = their_tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    assert inputs["input_ids"][0].tolist() == question(tokenizer, "Name 3 colours.")
    written = theirs.generate(**inputs, max_new_tokens=20, do_sample=False).tolist()
    assert written == generate(model, inputs["input_ids"].tolist(), 20, temperature=0.0, stop=tokenizer.stop_ids)
    assert theirs.generation_config.eos_token_id == tokenizer.end_id
