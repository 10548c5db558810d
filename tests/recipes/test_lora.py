"""Tuning by an adapter, and tuning a pretrained model in its own chat format."""

import json
import os
import shutil
import signal

import pytest
import torch

from insideout.cli.commands.chat import Chat
from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.finetuning.lora import adapted, adapters_off
from insideout.finetuning.peft_files import load_adapter
from insideout.finetuning.quantised import QuantisedLinear
from insideout.recipes import lora, sft
from insideout.recipes.pretrained import Pretrained
from insideout.recipes.stage import make_in, recipe
from insideout.training.events import Step
from insideout.training.loop import Interrupted
from insideout.transformer.config import GPTConfig
from insideout.transformer.exchange import hub
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import BPETokenizer

TALK = (Message("user", "Where is Anna?"),)
TALKS = [{"instruction": f"Where is key {n}?", "output": f"In room {n}."} for n in range(12)]
CHATML = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIDEOUT_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def made(name, **changes):
    return recipe(name, scale="tiny", tell=lambda event: None, **changes)


@pytest.fixture
def tuned(home):
    return made("lora")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    file = tmp_path_factory.mktemp("data") / "talks.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in TALKS))
    return str(file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of transformers that pads with its stop and puts a newline behind it, as SmolLM2 does."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    bpe = BPETokenizer.train("user assistant system Where is the key? In the room.\n" * 4, vocab_size=300)
    fast = bpe.with_special(("<s>", "<|im_start|>", "<|im_end|>"))._fast
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=fast, bos_token="<s>", eos_token="<|im_end|>", pad_token="<|im_end|>",
        clean_up_tokenization_spaces=False, chat_template=CHATML,
    )  # fmt: skip
    torch.manual_seed(0)
    config = GPTConfig(
        vocab_size=len(tokenizer), context_length=256, d_model=32, n_layers=2, n_heads=2, mlp="swiglu",
        tie_embeddings=True,
    )  # fmt: skip
    place = tmp_path_factory.mktemp("hub") / "small-instruct"
    hub.save(GPT(config), tokenizer, place)
    return place


def test_only_the_adapter_is_trained_and_stored(tuned):
    model, start = tuned.model(), tuned.start().model().state_dict()
    before = model.state_dict()
    for name, rows in start.items():
        now = before[name if name in before else name.replace(".weight", ".base.weight")]
        assert torch.equal(now[: len(rows)], rows), name
    assert all(bool(adapter.B[part].any()) for layer in adapted(model).values()
               for adapter in [layer.adapter("default")] for part in adapter.parts)  # fmt: skip
    stored = sum(file.stat().st_size for file in tuned.newest().glob("model*"))
    assert stored < 0.5 * sum(4 * rows.numel() for rows in start.values())


def test_it_answers_and_learns(tuned):
    losses = [record["validation_loss"] for record in tuned.metrics() if "validation_loss" in record]
    assert losses[-1] < losses[0]
    [[answer]] = tuned.writer(0.0).write([TALK], 1, 0, 5)
    assert 0 < len(answer.ids) <= 5
    assert tuned.report.is_file()


def test_an_adapter_is_put_beside_its_own_base_alone(tuned, tmp_path):
    other = make_in(lora.STAGE, tuned.config, tmp_path / "run", "tiny", lambda event: None)
    about = json.loads((other.path / "config.json").read_text())
    (other.path / "config.json").write_text(
        json.dumps(about | {"start": str(made("base", seed=1, steps=2, warmup_steps=0, tokenizer_texts=100).path)})
    )
    with pytest.raises(BadInput, match="frozen weights"):
        lora.load(other.path).model()
    (other.path / "config.json").write_text(json.dumps(about | {"start": str(tmp_path / "gone" / "for" / "good")}))
    with pytest.raises(BadInput, match="There is no model in"):
        lora.load(other.path).model()


def test_a_tuned_model_is_gone_on_from_with_its_adapter_in_it(tuned):
    again = made("lora", model=str(tuned.path), steps=1, warmup_steps=0, rank=2)
    model = again.model()
    ids = torch.tensor([[1, 2, 3]])
    with adapters_off(model):
        torch.testing.assert_close(model(ids), tuned.model()(ids), atol=1e-5, rtol=1e-5)
    assert again.template == tuned.template == "ours"


@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_the_frozen_model_may_be_kept_in_few_bits(home, tuned, kind):
    run = made("lora", quantise=kind, steps=4, warmup_steps=1)
    model, ids = run.model(), torch.tensor([[1, 2, 3]])
    rounded = [layer for layer in adapted(model).values() if isinstance(layer.base, QuantisedLinear)]
    assert rounded and all(layer.base.kind == kind for layer in rounded)
    assert torch.equal(run.model()(ids), model(ids))
    [[answer]] = run.writer(0.0).write([TALK], 1, 0, 5)
    assert answer.ids
    again = made("lora", model=str(run.path), steps=1, warmup_steps=0, rank=2).model()
    with adapters_off(again):
        torch.testing.assert_close(again(ids), model(ids), atol=1e-5, rtol=1e-5)


def test_a_stopped_run_goes_on_to_the_same_weights(home, data, tmp_path):
    settings = lora.LoRATuning(**{**vars(lora.SETTINGS["tiny"]), "data": data, "dropout": 0.1, "row_length": 128})

    def stop(event):
        if isinstance(event, Step) and event.step == 13:
            os.kill(os.getpid(), signal.SIGINT)

    whole = make_in(lora.STAGE, settings, tmp_path / "whole", "tiny", lambda event: None)
    with pytest.raises(Interrupted):
        make_in(lora.STAGE, settings, tmp_path / "cut", "tiny", stop)
    cut = make_in(lora.STAGE, settings, tmp_path / "cut", "tiny", lambda event: None, resume=True)
    assert cut.fingerprint == whole.fingerprint


def test_a_pretrained_model_is_tuned_in_its_own_format(home, folder, data, capsys):
    run = made("lora", model=str(folder), data=data, steps=4, warmup_steps=1, row_length=128)
    chat = run.chat()
    assert run.template == "own" and chat.pad_id == chat.tokenizer.special_ids["<s>"]
    learned = [chat.tokenizer.decode(part.ids) for part in chat.document([*TALK, Message("assistant", "In.")]) if
               part.learn]  # fmt: skip
    assert learned == ["In.", "<|im_end|>"]
    base = Pretrained(str(folder)).model()
    load_adapter(base, run.path / "adapter")  # in peft's format, beside the model as it is on the Hub
    ids = torch.tensor([chat.prompt(TALK)])
    torch.testing.assert_close(base(ids), run.model()(ids), atol=1e-6, rtol=1e-5)
    answers = []
    for chosen in (Chat(str(run.path)), Chat(str(folder), str(run.path / "adapter")), Chat(str(folder))):
        Chat(chosen.model, chosen.adapter, "Where is the key?", max_new_tokens=12).run()
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]


def test_all_of_a_pretrained_model_can_be_tuned_in_its_format_or_in_ours(home, folder, data):
    for template, n in (("own", 0), ("ours", 4)):
        changes = {} if template == "own" else {"template": template}
        run = made("sft", model=str(folder), data=data, steps=2, warmup_steps=1, row_length=128, **changes)
        assert run.template == template
        assert run.model().config.vocab_size == Pretrained(str(folder)).model().config.vocab_size + n
        run.writer(0.0).write([TALK], 1, 0, 3)


def test_a_model_without_a_chat_template_is_named(home, folder, data, tmp_path):
    bare = shutil.copytree(folder, tmp_path / "bare")
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(BadInput, match="no chat template"):
        made("lora", model=str(bare), data=data, row_length=128)
    with pytest.raises(BadInput, match="other weights"):
        run = made("lora", model=str(folder), data=data, steps=4, warmup_steps=1, row_length=128)
        load_adapter(made("sft").model(), run.path / "adapter")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rank": 0}, "rank must be at least 1"),
        ({"rank": 999}, "The rank is 999"),
        ({"alpha": -1.0}, "alpha above 0"),
        ({"dropout": 1.0}, "dropout from 0 to below 1"),
        ({"targets": ()}, "there must be a target"),
        ({"targets": ("nothing",)}, "No linear layer fits 'nothing'"),
        ({"optimizer": "muon"}, "trained by adamw"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(home, changes, words):
    with pytest.raises(BadInput, match=words) as error:
        made("lora", **changes)
    assert "\n" not in str(error.value)


def test_both_stages_learn_from_the_same(home):
    assert sft.STAGE.needs == lora.STAGE.needs
    assert set(vars(lora.SETTINGS["laptop"])) - set(vars(sft.SETTINGS["laptop"])) == {
        "rank", "alpha", "targets", "rslora", "dropout", "quantise",
    }  # fmt: skip
