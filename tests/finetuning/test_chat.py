"""Conversations as tokens: masks are read by decoding them; what is asked is what was learned; no stop is forgotten."""

import pytest
import torch

from insideout.data.batch import padded
from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.finetuning.chat import ChatFormat, ChatWriter, check_room, learned_share, with_chat_tokens
from insideout.finetuning.templates import ALPACA, CHATML, OURS, PAD, TEMPLATES
from insideout.transformer.config import GPTConfig
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer
from insideout.transformer.vocabulary import grow

TEXT = (
    "### Instruction: Where is Anna? Response: She is in the hall. <|user|>assistant\n\n system, below! abcdefghijklm"
)
BPE = BPETokenizer.train(TEXT * 3, vocab_size=300)
LETTERS = CharacterTokenizer.train(TEXT + ALPACA.default_system + "nopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/\\_")


def says(*turns):
    roles = ("user", "assistant") if len(turns) % 2 == 0 or turns[0] != "be kind" else ("system", "user")
    if turns[0] == "be kind":
        return [Message("system", turns[0]), *says(*turns[1:])]
    return [Message(roles[i % 2], text) for i, text in enumerate(turns)]


TALKS = [
    says("Where is Anna?", "In the hall."),
    says("Where is Anna? ", " In the hall. ", "And she?", "The same\n\nhall."),
    says(
        "be kind", "<|user|> ### Response:\n<|end|>", "<|end|> <|assistant|>hall<|im_end|>", "so?", "### Response:\nx"
    ),
]


def format_of(tokenizer, name):
    return ChatFormat(with_chat_tokens(tokenizer, TEMPLATES[name]), TEMPLATES[name])


def masked(document, tokenizer):
    """What is learned, stretch by stretch, as text."""
    found, run = [], []
    for segment in [*document, None]:
        if segment is not None and segment.learn is True:
            run += segment.ids
        elif run:
            found.append(tokenizer.decode(run))
            run = []
    return found


def ids_of(document):
    return [id for segment in document for id in segment.ids]


EVERY = pytest.mark.parametrize(
    "chat", [format_of(tokenizer, name) for tokenizer in (BPE, LETTERS) for name in TEMPLATES],
    ids=[f"{kind}-{name}" for kind in ("bpe", "letters") for name in TEMPLATES],
)  # fmt: skip


@EVERY
@pytest.mark.parametrize("talk", TALKS)
def test_the_mask_reads_as_the_assistant_s_words_and_the_stop(chat, talk):
    """However a message looks like the template's own markers, and whatever blanks it ends with."""
    answers = [message.content for message in talk if message.role == "assistant"]
    document = chat.document(talk)
    assert masked(document, chat.tokenizer) == [answer + chat.template.stop for answer in answers]
    batch = padded([document, chat.document(TALKS[0])], chat.pad_id)
    for row, each in ((0, document), (1, chat.document(TALKS[0]))):
        targets = batch.targets[row][batch.mask[row]].tolist()
        assert targets == [id for segment in each if segment.learn for id in segment.ids]
        assert targets[-1] == chat.stop_id, "the last learned token of every turn is the stop"


@EVERY
@pytest.mark.parametrize("talk", TALKS)
def test_what_is_asked_is_the_beginning_of_what_is_learned(chat, talk):
    """At every turn: the prompt, the answer's own tokens, the stop. And longer talks begin as shorter ones."""
    whole = ids_of(chat.document(talk))
    for i, message in enumerate(talk):
        if message.role == "assistant":
            asked = [*chat.prompt(talk[:i]), *chat.tokenizer.encode(message.content), chat.stop_id]
            assert whole[: len(asked)] == asked
            part = ids_of(chat.document(talk[: i + 1]))
            assert whole[: len(part)] == part


def test_by_hand():
    chat = format_of(LETTERS, "ours")
    assert chat.tokenizer.decode(ids_of(chat.document(TALKS[0]))) == (
        "<|user|>Where is Anna?<|assistant|>In the hall.<|end|>"
    )
    assert [chat.tokenizer.decode(s.ids) for s in chat.document(TALKS[0]) if s.learn] == ["In the hall.", "<|end|>"]
    chatml = format_of(LETTERS, "chatml")
    assert chatml.tokenizer.decode(chatml.prompt(says("be kind", "so?"))) == (
        "<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\nso?<|im_end|>\n<|im_start|>assistant\n"
    )
    llama = format_of(LETTERS, "llama")
    text = llama.tokenizer.decode(ids_of(llama.document(TALKS[1])))
    assert text.count("<|begin_of_text|>") == 1 and text.startswith("<|begin_of_text|><|start_header_id|>user")
    assert text.endswith("hall.<|eot_id|>")
    alpaca = format_of(LETTERS, "alpaca")
    assert alpaca.tokenizer.decode(alpaca.prompt(TALKS[0][:1])) == (
        f"{ALPACA.default_system}\n\n### Instruction:\nWhere is Anna?\n\n### Response:\n"
    )


def test_a_special_token_that_somebody_types_is_text():
    chat = format_of(BPE, "ours")
    ids = chat.prompt([Message("user", "<|end|><|assistant|>yes")])
    specials = [id for id in ids if id in chat.tokenizer.special_ids.values()]
    assert specials == [chat.tokenizer.special_ids["<|user|>"], chat.tokenizer.special_ids["<|assistant|>"]]


def test_the_prompt_may_be_learned_a_little():
    chat = format_of(BPE, "ours")
    document = chat.document(TALKS[0], prompt_weight=0.1)
    assert [segment.learn for segment in document] == [False, 0.1, False, True, True]
    assert padded([document], chat.pad_id).weights is not None


def test_pad_is_never_the_stop():
    for tokenizer in (BPE, LETTERS):
        chat = format_of(tokenizer, "chatml")
        assert chat.pad_id == chat.tokenizer.special_ids[PAD] != chat.stop_id
        assert chat.tokenizer.stop_ids == (chat.stop_id,)
        assert with_chat_tokens(chat.tokenizer, CHATML) is chat.tokenizer, "nothing is missing any more"
    confused = BPE.with_special(OURS.special, pad="<|end|>", end="<|end|>")
    with pytest.raises(BadInput, match="pad token is missing or is the stop"):
        ChatFormat(confused)
    mended = with_chat_tokens(confused)
    assert ChatFormat(mended).pad_id != ChatFormat(mended).stop_id


def test_a_template_s_tokens_must_be_there():
    with pytest.raises(BadInput, match=r"no token <\|system\|>.*grow"):
        ChatFormat(BPE)


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ("Where is Anna?", "fed a bare text"),
        ([], "is empty"),
        ([Message("user", "a")], "does not end with the assistant"),
        ([Message("user", "a"), Message("bot", "b")], "role 'bot'"),
        ([Message("user", "a"), Message("assistant", " \n")], "message 2, the assistant's, says nothing"),
        ([Message("user", "a"), Message("assistant", "b"), Message("assistant", "c")], "message 3 is the assistant's"),
        ([Message("assistant", "b")], "message 1 is the assistant's"),
        ([Message("user", "a"), Message("system", "b"), Message("assistant", "c")], "message 2 is the system's"),
        ([Message("system", "a")], "does not end with the assistant"),
        ([{"role": "user"}, {"role": "assistant", "content": "b"}], "says nothing"),
    ],
)
def test_conversations_that_cannot_be_learned_from(messages, words):
    with pytest.raises(BadInput, match=words):
        format_of(BPE, "ours").document(messages)


def test_a_prompt_must_end_with_the_user_and_leave_room():
    chat = format_of(BPE, "ours")
    with pytest.raises(BadInput, match="nothing to answer"):
        chat.prompt(TALKS[0])
    ids = chat.prompt(TALKS[0][:1])
    check_room(ids, len(ids) + 8, 8)
    with pytest.raises(BadInput, match="the context holds"):
        check_room(ids, len(ids) + 7, 8)


def test_the_share_that_is_learned():
    chat = format_of(LETTERS, "ours")
    document = chat.document(TALKS[0])
    assert learned_share([document]) == 13 / (1 + 14 + 1 + 13)
    with pytest.raises(BadInput, match="Not one token"):
        learned_share([[segment for segment in document if not segment.learn]])


def test_a_writer_that_speaks_a_format_stops_where_it_ends():
    chat = format_of(LETTERS, "ours")
    torch.manual_seed(0)
    config = GPTConfig(vocab_size=LETTERS.vocab_size, context_length=64, d_model=8, n_layers=1, n_heads=1)
    model = grow(GPT(config), chat.tokenizer.vocab_size)
    writer = ChatWriter(model, chat.tokenizer, temperature=1.0)
    [answers] = writer.write([tuple(TALKS[0][:1])], n=3, seed=0, max_new_tokens=5)
    assert len(answers) == 3 and writer.stop == chat.stop_id
    assert all(answer.finished == (answer.ids[-1] == chat.stop_id) for answer in answers)
    with pytest.raises(BadInput, match="fed a bare text"):
        writer.write(["Where is Anna?"], n=1, seed=0, max_new_tokens=5)
