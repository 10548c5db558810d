"""Pretrained models as writers: theirs gives what ours gives, in a batch what it gives alone."""

import pytest
import torch

from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.reasoning.hub_writer import HubWriter
from insideout.reasoning.writers import Counted, Metered, Usage
from insideout.transformer.exchange.hub import from_hf
from insideout.transformer.exchange.hub_tokenizer import HubTokenizer
from insideout.transformer.tokenizer import BPETokenizer

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

BPE = BPETokenizer.train("How many apples does Anna have? 4 + 3 = 7\n" * 4, vocab_size=290)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PROMPTS = ["How many apples", "Anna", "4 + 3 =", "How many does Anna have?", "Anna"]


def tokenizer(template=CHATML):
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_object=BPE.with_special(("<s>", "<|im_start|>", "<|im_end|>"))._fast, bos_token="<s>",
        eos_token="<|im_end|>", clean_up_tokenization_spaces=False,
    )  # fmt: skip
    theirs.chat_template = template
    return HubTokenizer(theirs)


def llama(**changes):
    torch.manual_seed(0)
    settings = {
        "vocab_size": len(tokenizer().theirs), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 96, "initializer_range": 0.4,
    }  # fmt: skip
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**settings, **changes)).eval()


MODEL = llama()


def flat(written):
    return [answer for answers in written for answer in answers]


def assert_alike(ours, others):
    for a, b in zip(flat(ours), flat(others), strict=True):
        assert (a.text, a.ids, a.finished) == (b.text, b.ids, b.finished)
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)  # sums of another order


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_theirs_writes_what_ours_writes(temperature):
    theirs = HubWriter(MODEL, tokenizer(), temperature).write(PROMPTS, 3, seed=5, max_new_tokens=12)
    ours = HubWriter(from_hf(MODEL), tokenizer(), temperature).write(PROMPTS, 3, seed=5, max_new_tokens=12)
    assert_alike(theirs, ours)
    assert len({answer.text for answer in theirs[1]}) == (1 if temperature == 0 else 3)


def test_in_a_batch_an_answer_is_what_it_is_alone():
    whole = HubWriter(MODEL, tokenizer()).write(PROMPTS, 2, seed=1, max_new_tokens=10)
    for at_once in (1, 3):
        some = HubWriter(MODEL, tokenizer(), at_once=at_once).write(PROMPTS, 2, seed=1, max_new_tokens=10)
        assert_alike(some, whole)
    assert_alike(HubWriter(MODEL, tokenizer()).write(PROMPTS[:1], 2, seed=1, max_new_tokens=10), whole[:1])
    assert whole[1] != whole[4], "the same prompt twice is two questions"


def test_it_is_what_generate_writes_and_ends_where_the_stop_is():
    from_them = MODEL.generate(
        torch.tensor([tokenizer().encode(PROMPTS[0])]), max_new_tokens=12, do_sample=False, eos_token_id=-1,
        pad_token_id=0,
    )[0].tolist()  # fmt: skip
    new = from_them[len(tokenizer().encode(PROMPTS[0])) :]
    never = HubTokenizer(tokenizer().theirs, stop_ids=(BPE.vocab_size + 1,))
    [[answer]] = HubWriter(MODEL, never, 0.0).write(PROMPTS[:1], 1, seed=0, max_new_tokens=12)
    assert list(answer.ids) == new and answer.finished is False
    at = next(i for i, id in enumerate(new) if i > 2 and id not in new[:i])
    stopping = HubTokenizer(tokenizer().theirs, stop_ids=(new[at],))
    [[answer]] = HubWriter(MODEL, stopping, 0.0).write(PROMPTS[:1], 1, seed=0, max_new_tokens=12)
    assert list(answer.ids) == new[: at + 1] and answer.finished is True
    assert answer.text == stopping.decode(new[:at])


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox"])
def test_other_architectures_write_too(family):
    torch.manual_seed(0)
    small = {"vocab_size": len(tokenizer().theirs), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.AutoConfig.for_model(family, **small, bos_token_id=0, eos_token_id=0)
    model = transformers.AutoModelForCausalLM.from_config(config).train()
    written = HubWriter(model, tokenizer()).write(PROMPTS, 2, seed=1, max_new_tokens=6)
    alone = HubWriter(model, tokenizer(), at_once=1).write(PROMPTS, 2, seed=1, max_new_tokens=6)
    assert_alike(alone, written)
    assert model.training, "the mode it was in"
    assert all(1 <= len(answer.ids) <= 6 and len(answer.logprobs) == len(answer.ids) for answer in flat(written))


def test_a_conversation_is_put_into_the_model_s_template():
    writer = HubWriter(MODEL, tokenizer(), 0.0)
    asked = (Message("user", "How many?"),)
    assert writer.ids_of(asked) == tokenizer().encode(
        "<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n", special=True
    )
    assert len(writer.write([asked, "text"], 1, seed=0, max_new_tokens=3)) == 2


def test_tokens_are_counted_in_and_out():
    writer = Counted(HubWriter(MODEL, tokenizer()))
    assert isinstance(writer, Metered)
    before = writer.usage.copy()
    written = writer.write(PROMPTS, 2, seed=1, max_new_tokens=7)
    n_in = sum(len(tokenizer().encode(prompt)) for prompt in PROMPTS)
    n_out = sum(len(answer.ids) for answer in flat(written))
    assert writer.usage == Usage(5, 10, n_in, n_out) == writer.usage - before
    writer.write(PROMPTS[:1], 1, seed=1, max_new_tokens=7)
    assert writer.usage.calls == 6 and (writer.usage - before).answers == 11


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: HubWriter(MODEL, tokenizer()).write([""], 1, 0, 5), "prompt is empty"),
        (lambda: HubWriter(MODEL, tokenizer()).write(["a"], 0, 0, 5), "n is 0"),
        (lambda: HubWriter(MODEL, tokenizer()).write(["a"], 1, -1, 5), "seed is -1"),
        (lambda: HubWriter(MODEL, tokenizer()).write(["a" * 200], 1, 0, 5), "leaves no room"),
        (lambda: HubWriter(MODEL, tokenizer()).write(["a"], 1, 0, 200), "ask for at most"),
        (lambda: HubWriter(MODEL, tokenizer(None)).write([(Message("user", "a"),)], 1, 0, 5), "no chat template"),
        (lambda: HubWriter(MODEL, HubTokenizer(tokenizer().theirs, stop_ids=())), "give it stop_ids"),
        (lambda: HubWriter(MODEL, tokenizer(), temperature=-1.0), "must be 0"),
        (lambda: HubWriter(llama(is_encoder_decoder=True), tokenizer()), "an encoder and a decoder"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(make, says):
    with pytest.raises(BadInput, match=says):
        make()
