"""A model's own chat template: the mask is exact, or the template is refused."""

import pytest

from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.finetuning.hub_chat import HubChat
from insideout.transformer.exchange.hub_tokenizer import HubTokenizer
from insideout.transformer.tokenizer import BPETokenizer

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

BPE = BPETokenizer.train("user assistant system Where is she? In the hall.\n" * 4, vocab_size=290)
SPECIAL = ("<s>", "<|im_start|>", "<|im_end|>")
CHATML = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TALK = [
    Message("user", "Where is she?"), Message("assistant", "In the hall."), Message("user", "<|im_end|>\nuser"),
    Message("assistant", "In <|im_start|> it."),
]  # fmt: skip


def chat_of(template, **changes):
    fast = BPE.with_special(SPECIAL)._fast
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_object=fast, bos_token="<s>", eos_token="<|im_end|>", pad_token="<|im_end|>",
        clean_up_tokenization_spaces=False, **changes,
    )  # fmt: skip
    theirs.chat_template = template
    return HubChat(HubTokenizer(theirs))


def learned(chat, document):
    return [chat.tokenizer.decode(segment.ids) for segment in document if segment.learn]


def test_the_mask_is_the_assistant_s_words_and_the_stop():
    """Though pad is the stop, a newline stands behind it, and a system's words are put first by the template."""
    chat = chat_of(CHATML)
    document = chat.document(TALK)
    assert learned(chat, document) == ["In the hall.", "<|im_end|>", "In <|im_start|> it.", "<|im_end|>"]
    ids = [id for segment in document for id in segment.ids]
    text = chat.tokenizer.theirs.apply_chat_template([m._asdict() for m in TALK], tokenize=False)
    assert chat.tokenizer.decode(ids) == text and text.endswith("<|im_end|>\n")
    stop = chat.tokenizer.stop_ids[0]
    assert ids.count(stop) == 1 + 4, "the one that was typed is text"


def test_without_typed_markers_the_ids_are_the_model_s_own():
    chat = chat_of(CHATML)
    document = chat.document(TALK[:2])
    theirs = chat.tokenizer.theirs.apply_chat_template(
        [m._asdict() for m in TALK[:2]], tokenize=True, return_dict=False
    )
    assert [id for segment in document for id in segment.ids] == list(theirs)


def test_what_is_asked_is_the_beginning_of_what_is_learned():
    chat = chat_of(CHATML)
    whole = [id for segment in chat.document(TALK) for id in segment.ids]
    for i in (1, 3):
        asked = [*chat.prompt(TALK[:i]), *chat.tokenizer.encode(TALK[i].content), chat.tokenizer.stop_ids[0]]
        assert whole[: len(asked)] == asked


def test_the_begin_token_may_open_every_turn():
    """As SmolLM2's does; twice at the beginning it is refused below."""
    chat = chat_of(CHATML)
    chat.tokenizer.theirs.bos_token = "<|im_start|>"
    assert chat.tokenizer.begin_id == chat.tokenizer.special_ids["<|im_start|>"]
    talk = [*TALK[:2], Message("user", "Where?"), Message("assistant", "In it.")]
    assert learned(chat, chat.document(talk)) == ["In the hall.", "<|im_end|>", "In it.", "<|im_end|>"]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (None, "no chat template"),
        ("{% for m in messages %}{{ m['content'] }} {% endfor %}", "does not end an answer"),
        ("{% for m in messages %}{{ m['content'] | upper }}<|im_end|>{% endfor %}", "leaves out or changes"),
        ("{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}<|im_end|>{% endfor %}", "other words"),
        ("{{ messages | length }}{% for m in messages %}{{ m['content'] }}<|im_end|>{% endfor %}", "rewrites"),
        ("{{ raise_exception('no such role') }}", "cannot be rendered: no such role"),
        ("{% for m in messages %}", "cannot be rendered"),
        # the stop belongs to the next message: an answer at the end has none
        ("{% for m in messages %}{% if not loop.first %}<|im_end|>{% endif %}{{ m['content'] }}{% endfor %}"
         "{% if add_generation_prompt %}<|im_end|>{% endif %}", "does not end an answer"),
        ("<s><s>{% for m in messages %}{{ m['content'] }}<|im_end|>{% endfor %}", "opens the conversation twice"),
        # no boundary between what the template says and an answer that begins with a letter
        ("{% for m in messages %}{{ m['role'] }}\n{{ m['content'] }}<|im_end|>{% endfor %}"
         "{% if add_generation_prompt %}assistant\n{% endif %}", None),
        ("{% for m in messages %}{{ m['content'] }}{% if m['role'] == 'assistant' %}<|im_end|>{% endif %}{% endfor %}"
         "{% if add_generation_prompt %}{% endif %}", "runs over the boundary"),
    ],
)  # fmt: skip
def test_a_template_that_leaves_the_mask_to_guessing_is_refused(template, words):
    talk = [Message("user", "In th"), Message("assistant", "e hall.")]
    if words is None:
        assert learned(chat_of(template), chat_of(template).document(talk)) == ["e hall.", "<|im_end|>"]
        return
    with pytest.raises(BadInput, match=words):
        chat_of(template).document(talk)


def test_a_tokenizer_without_a_stop_is_refused():
    chat = chat_of(CHATML)
    with pytest.raises(BadInput, match="names no token that ends"):
        HubChat(HubTokenizer(chat.tokenizer.theirs, stop_ids=()))
