"""The tokenizers: exact round trips, the same ids as Hugging Face, transformers and tiktoken, clear errors."""

import json
import random
import re
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tiktoken
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers, trainers

from insideout.data.text.cut import cut_safely
from insideout.data.text.tokens import Tokenizer
from insideout.errors import BadInput
from insideout.transformer import bpe
from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer, load_tokenizer
from tests.transformer.json_values import places_in, with_value

SPECIAL = ("<|end|>", "<|user|>")
# Invented on the spot: words of a small language with skewed frequencies, so that merges have something to find.
_random = random.Random(0)
_LEXICON = ["".join(_random.choices("aeioustrnl", k=_random.randint(1, 7))) for _ in range(300)] + [
    "it's",
    "1984",
    "né",
]
TEXT = " ".join(_random.choices(_LEXICON, weights=[1 / (i + 1) for i in range(len(_LEXICON))], k=6000)) + "\n\nend. "
TOKENIZER = BPETokenizer.train(TEXT, 600, SPECIAL)
PLAIN = BPETokenizer(TOKENIZER.merges)

# What the pattern tells apart: letters, digits, blanks of several kinds, apostrophes, signs, accents, emoji.
pieces = st.sampled_from(
    ["'s", "'ll", " ", "  ", "\n", "\t", "\r\n", "\xa0", "\u2003", "\x1c", "\x85", "²", "Ⅷ", "٣", "ß"]
)
prose = st.lists(st.one_of(st.text(max_size=6), pieces, st.sampled_from(_LEXICON)), max_size=20).map("".join)


def long_known(text: str) -> str:
    """Only characters that Unicode knew long ago: newer ones are letters to one library and unknown to another."""
    return "".join(character for character in text if unicodedata.ucd_3_2_0.category(character) != "Cn")


# ---- training ------------------------------------------------------------------------------------------------------


def test_first_merges_by_hand():
    # "ab" 3 times, "bc" 3 times: a tie, which the pair with smaller ids wins; then (ab, c) twice.
    counts = Counter({b"abc": 2, b"ab": 1, b"bc": 1})
    a, b, c = (bpe.BYTE_TO_ID[byte] for byte in b"abc")
    assert bpe.train(counts, 10) == [(a, b), (256, c), (b, c)]


def naive(counts: Counter[bytes], n_merges: int) -> list[bpe.Pair]:
    """Algorithm 1 of Sennrich et al., counting everything anew for each merge."""
    spelled = {word: [bpe.BYTE_TO_ID[byte] for byte in word] for word in counts}
    merges: list[bpe.Pair] = []
    while len(merges) < n_merges:
        pairs: Counter[bpe.Pair] = Counter()
        for word, ids in spelled.items():
            for i in range(len(ids) - 1):
                pairs[ids[i], ids[i + 1]] += counts[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        spelled = {word: bpe.merge(ids, best, 256 + len(merges)) for word, ids in spelled.items()}
        merges.append(best)
    return merges


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text("aab ", min_size=1, max_size=9), st.integers(1, 4), min_size=1, max_size=8))
def test_incremental_counts_give_the_naive_algorithms_merges(words):
    counts = Counter({word.encode(): n for word, n in words.items()})
    assert bpe.train(counts, 12) == naive(counts, 12)


def test_learns_what_hugging_face_learns():
    fast = tokenizers.Tokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    fast.train_from_iterator(
        [TEXT], trainers.BpeTrainer(vocab_size=598, initial_alphabet=alphabet, show_progress=False)
    )
    theirs = [tuple(pair) for pair in json.loads(fast.to_str())["model"]["merges"]]
    symbols = ["".join(bpe.BYTE_TO_SYMBOL[byte] for byte in token) for token in bpe.vocabulary(PLAIN.merges)]
    assert theirs == [(symbols[left], symbols[right]) for left, right in PLAIN.merges]


def test_trains_the_same_from_chunks_and_sizes_are_exact():
    chunks = [TEXT[i : i + 97] for i in range(0, len(TEXT), 97)]
    assert BPETokenizer.train(iter(chunks), 600, SPECIAL).fingerprint == TOKENIZER.fingerprint
    assert TOKENIZER.vocab_size == 600 and TOKENIZER.special_ids == {"<|end|>": 598, "<|user|>": 599}
    assert BPETokenizer.train("ab", 300).vocab_size == 257  # nothing more to merge


def test_special_tokens_are_not_merged_into_the_vocabulary():
    tokenizer = BPETokenizer.train("<|end|>a b<|end|>" * 50, 300, ["<|end|>"])
    assert not any(b"end" in token for token in tokenizer.tokens[:-1])


# ---- encoding ------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(prose)
def test_round_trip_of_any_text(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text
    assert "".join(word.decode() for word in bpe.words(text)) == text


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=60), st.tuples(prose, st.binary(max_size=4)).map(lambda x: x[0].encode() + x[1])))
def test_round_trip_of_any_bytes(data):
    assert TOKENIZER.decode_bytes(TOKENIZER.encode_bytes(data)) == data


@settings(deadline=None)
@given(prose)
def test_readable_and_fast_path_give_the_same_ids(text):
    assert bpe.encode(text, PLAIN.merges) == PLAIN.encode(text) == PLAIN.encode_bytes(text.encode())


@settings(deadline=None)
@given(st.lists(prose, max_size=6), st.integers(1, 40))
def test_cutting_a_text_does_not_change_its_tokens(chunks, size):
    whole = "".join(chunks)
    cut = list(cut_safely(chunks, size))
    assert "".join(cut) == whole
    assert [id for piece in cut for id in PLAIN._fast.encode(piece).ids] == PLAIN._fast.encode(whole).ids


def test_long_text_takes_the_parallel_path_with_the_same_ids():
    assert len(TEXT) > 2**14
    assert PLAIN.encode(TEXT) == PLAIN._fast.encode(TEXT).ids == bpe.encode(TEXT, PLAIN.merges)


ENCODING = tiktoken.Encoding(
    "ours",
    pat_str=bpe.PATTERN,
    mergeable_ranks={token: id for id, token in enumerate(PLAIN.tokens)},
    special_tokens=TOKENIZER.special_ids,
)


@settings(deadline=None)
@given(prose.map(long_known))
def test_tiktoken_gives_the_same_ids_for_the_same_merges(text):
    assert PLAIN.encode(text) == ENCODING.encode_ordinary(text)


def test_tiktoken_agrees_on_prose_and_on_special_tokens():
    assert TOKENIZER.encode(TEXT) == ENCODING.encode_ordinary(TEXT)
    text = "<|user|>it's 1984<|end|> né"
    found, plain = TOKENIZER.encode(text, special=True), TOKENIZER.encode(text)
    assert found == ENCODING.encode(text, allowed_special="all")
    assert TOKENIZER.encode(text, special=["<|end|>"]) == ENCODING.encode(
        text, allowed_special={"<|end|>"}, disallowed_special=()
    )
    assert plain == TOKENIZER.encode(text, special=[]) == ENCODING.encode_ordinary(text)
    assert found[0] == 599 and 599 not in plain
    assert TOKENIZER.decode(found) == TOKENIZER.decode(plain) == text


def test_bytes_are_numbered_as_in_gpt2():
    # Known from GPT-2's published vocabulary: "!" 0, "~" 93, the newline 198, the blank 220.
    assert [bpe.BYTE_TO_ID[byte] for byte in b"!~\n "] == [0, 93, 198, 220]
    assert bpe.BYTE_TO_SYMBOL[ord(" ")] == "Ġ" and bpe.BYTE_TO_SYMBOL[ord("\n")] == "Ċ"
    assert len(set(bpe.BYTE_TOKENS)) == 256


@settings(deadline=None)
@given(st.text(max_size=200))
def test_character_round_trip(text):
    tokenizer = CharacterTokenizer.train("abc" + text)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.vocab_size == len(set("abc" + text))


# ---- special tokens ------------------------------------------------------------------------------------------------

ROLES = dict(pad="<|pad|>", begin="<|begin|>", end="<|end|>")
NEW = ["<|pad|>", "<|begin|>", "<|end|>", "<|assistant|>", "<|end|>>"]
CHARACTERS = CharacterTokenizer.train(TEXT + "".join(NEW))


@pytest.mark.parametrize("plain", [PLAIN, CHARACTERS], ids=["bpe", "characters"])
def test_special_tokens_are_added_and_old_ids_stay(plain):
    tokenizer = plain.with_special(NEW[:3], **ROLES).with_special(NEW[3:])
    first = plain.vocab_size
    assert tokenizer.special_ids == {token: first + i for i, token in enumerate(NEW)}
    assert tokenizer.vocab_size == first + 5 and plain.vocab_size == first and not plain.special_ids
    assert (tokenizer.pad_id, tokenizer.begin_id, tokenizer.end_id) == (first, first + 1, first + 2)
    assert tokenizer.stop_ids == (first + 2,) and plain.stop_ids == () and plain.pad_id is None
    assert tokenizer.encode(TEXT[:300]) == plain.encode(TEXT[:300])
    assert len({each.fingerprint for each in (plain, tokenizer, plain.with_special(NEW[:1]))}) == 3


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.sampled_from([*NEW, "<|", "|>"]), st.sampled_from(_LEXICON[:40])), max_size=9).map("".join)
)
@pytest.mark.parametrize("plain", [PLAIN, CHARACTERS], ids=["bpe", "characters"])
def test_what_a_user_types_never_becomes_a_special_token(plain, text):
    tokenizer = plain.with_special(NEW, **ROLES)
    ids = tokenizer.encode(text)
    assert ids == plain.encode(text) and max(ids, default=0) < plain.vocab_size and tokenizer.decode(ids) == text
    named = tokenizer.encode(text, special=["<|pad|>"])
    assert named.count(tokenizer.pad_id) == text.count("<|pad|>")
    assert not {id for id in named if id >= plain.vocab_size} - {tokenizer.pad_id}
    found = tokenizer.encode(text, special=True)
    assert found == tokenizer._fast.encode(text).ids  # the longest of two that fit
    assert tokenizer.decode(found) == tokenizer.decode(named) == text
    assert tokenizer.decode(found, special=False) == plain.decode([id for id in found if id < plain.vocab_size])


@pytest.mark.parametrize("plain", [PLAIN, CHARACTERS], ids=["bpe", "characters"])
def test_special_tokens_and_their_roles_survive_a_file(tmp_path: Path, plain):
    from transformers import AutoTokenizer

    tokenizer = plain.with_special(NEW, **ROLES)
    tokenizer.save(tmp_path / "tokenizer.json")
    again, theirs = load_tokenizer(tmp_path / "tokenizer.json"), AutoTokenizer.from_pretrained(tmp_path)
    assert again.fingerprint == tokenizer.fingerprint and again.special_ids == tokenizer.special_ids
    assert again.roles == ROLES and again.stop_ids == tokenizer.stop_ids
    assert (theirs.pad_token_id, theirs.bos_token_id, theirs.eos_token_id) == tuple(
        tokenizer.special_ids[token] for token in NEW[:3]
    )
    assert len(theirs) == tokenizer.vocab_size
    text = "<|begin|>ae<|end|>>i <|assistant|>io<|end|><|pad|><|pad|>"
    ids = tokenizer.encode(text, special=True)
    assert theirs(text)["input_ids"] == ids
    assert theirs(text, split_special_tokens=True)["input_ids"] == tokenizer.encode(text)
    assert theirs.decode(ids) == text and theirs.decode(ids, skip_special_tokens=True) == "aei io"
    assert tokenizer.decode(ids, special=False) == "aei io"


def test_ids_may_come_from_anywhere_but_must_be_whole_numbers():
    ids = PLAIN.encode("it's né")
    sources = [tuple(ids), iter(ids), np.array(ids), np.array(ids, np.uint16), list(np.array(ids)), torch.tensor(ids)]
    for source in sources:
        assert PLAIN.decode(source) == "it's né"
    assert PLAIN.decode([]) == PLAIN.decode(torch.tensor([], dtype=torch.long)) == ""
    wrong = [
        [1.7], [1.0], [True], [None], ["1"], [[1, 2]], "12", b"12", {1: 2}, np.array([1.0]), np.array([True]),
        np.array([[1]]), np.array(1), torch.tensor([1.7]), torch.tensor([True]), torch.tensor([[1]]), [2**70], [-1],
        [float("nan")], [np.float32(1)], [np.bool_(True)], [torch.tensor(1.0)],
    ]  # fmt: skip
    for bad in wrong:
        for tokenizer in (PLAIN, CHARACTERS):
            with pytest.raises(BadInput, match=r"Ids are one list of whole numbers|There is no token"):
                tokenizer.decode(bad)


# ---- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["it's  \n\n 1984, né 🙂<|end|>x\r\n\t y", TEXT])
def test_saved_bpe_loads_here_and_in_transformers(tmp_path: Path, text: str):
    from transformers import PreTrainedTokenizerFast

    path = tmp_path / "tokenizer.json"
    TOKENIZER.save(path)
    ids = TOKENIZER.encode(text, special=True)
    again, theirs = load_tokenizer(path), PreTrainedTokenizerFast(tokenizer_file=str(path))
    assert again.encode(text, special=True) == ids and again.fingerprint == TOKENIZER.fingerprint
    assert theirs(text)["input_ids"] == ids and theirs.decode(ids) == text
    assert len(theirs) == TOKENIZER.vocab_size and theirs.added_tokens_decoder[598].special
    assert theirs.decode(theirs("it<|end|>")["input_ids"], skip_special_tokens=True) == "it"
    assert [file.name for file in tmp_path.iterdir()] == ["tokenizer.json"]


def test_saved_characters_load_here_and_in_transformers(tmp_path: Path):
    from transformers import PreTrainedTokenizerFast

    text, path = "To be,  or\r\n\n not\t né 🙂", tmp_path / "tokenizer.json"
    tokenizer = CharacterTokenizer.train(iter([text, TEXT]))
    tokenizer.save(path)
    again, theirs = load_tokenizer(path), PreTrainedTokenizerFast(tokenizer_file=str(path))
    assert again.fingerprint == tokenizer.fingerprint and again.encode(text) == tokenizer.encode(text)
    assert theirs(text)["input_ids"] == tokenizer.encode(text)
    assert theirs.decode(tokenizer.encode(text)) == text


def test_fingerprints_differ_where_ids_do():
    prints: list[Tokenizer] = [
        PLAIN,
        TOKENIZER,
        BPETokenizer(PLAIN.merges[:-1]),
        CharacterTokenizer("ab"),
        CharacterTokenizer("ba"),
    ]
    assert len({tokenizer.fingerprint for tokenizer in prints}) == 5


@pytest.mark.parametrize("cut", [0, 1, 100, -2])
def test_a_truncated_file_is_bad_input(tmp_path: Path, cut: int):
    path = tmp_path / "tokenizer.json"
    TOKENIZER.save(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BadInput, match="truncated"):
        load_tokenizer(path)


def spoiled(change) -> str:
    about = json.loads(TOKENIZER._fast.to_str())
    change(about)
    return json.dumps(about)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"model": {"type": "Unigram", "vocab": []}, "added_tokens": []}',
        spoiled(lambda about: about["model"]["merges"].pop()),
        spoiled(lambda about: about["model"]["merges"].reverse()),
        spoiled(lambda about: about["pre_tokenizer"].update(type="Whitespace")),
        spoiled(lambda about: about["pre_tokenizer"].update(add_prefix_space=True)),
        spoiled(lambda about: about.update(normalizer={"type": "Lowercase"})),
        spoiled(lambda about: about["added_tokens"][0].update(id=7)),
    ],
)
def test_a_foreign_file_is_bad_input(tmp_path: Path, content: str):
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(BadInput, match="neither"):
        load_tokenizer(path)


def test_missing_and_binary_files_are_bad_input(tmp_path: Path):
    with pytest.raises(BadInput, match="Could not read"):
        load_tokenizer(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(bytes(range(256)))
    with pytest.raises(BadInput, match="not JSON"):
        load_tokenizer(tmp_path / "binary.json")


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: BPETokenizer.train("text", 255), "at least 256"),
        (lambda: BPETokenizer.train("text", 256, ["<|end|>"]), "at least 257"),
        (lambda: BPETokenizer.train("", 300), "empty"),
        (lambda: BPETokenizer.train("text", 300, ["<| end|>"]), "blank"),
        (lambda: BPETokenizer.train("text", 300, ["<|a|>", "<|a|>"]), "twice"),
        (lambda: CharacterTokenizer.train(""), "empty"),
        (lambda: CharacterTokenizer("aa"), "only once"),
        (lambda: CharacterTokenizer("ab").encode("abc"), "'c' was not in the text"),
        (lambda: CharacterTokenizer("ab").decode([0, 2]), "no token 2"),
        (lambda: TOKENIZER.decode([-1]), "no token -1"),
        (lambda: TOKENIZER.decode([600]), "no token 600"),
        (lambda: TOKENIZER.encode("a\ud800"), "surrogate"),
        (
            lambda: TOKENIZER.encode("a", special=["<|pad|>"]),
            "no special token of this tokenizer: it has <|end|>, <|us",
        ),
        (lambda: TOKENIZER.with_special(["<|end|>"]), "already"),
        (lambda: TOKENIZER.with_special(["<|pad|>"], end="<|stop|>"), "end is '<|stop|>', which is none"),
        (lambda: CharacterTokenizer("ab").with_special(["b"]), "b is an ordinary token too"),
        (lambda: BPETokenizer([(bpe.BYTE_TO_ID[97], bpe.BYTE_TO_ID[98])], ["ab"]), "ab is an ordinary token too"),
        (lambda: BPETokenizer([(0, 256)]), "Merge 0 joins"),
        (lambda: BPETokenizer([(-1, 0)]), "Merge 0 joins"),
    ],
)
def test_bad_input_is_told_in_a_sentence(act, says: str):
    with pytest.raises(BadInput, match=re.escape(says)):
        act()


# ---- damage: each value of a file in turn is another ---------------------------------------------------------------

WRONG = [None, "x", -1, 1e400, [], {}]


@pytest.mark.parametrize("plain", [BPETokenizer(PLAIN.merges[:9]), CHARACTERS], ids=["bpe", "characters"])
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_file_with_any_value_changed_is_refused_in_a_sentence_or_means_the_same(plain, name, tmp_path: Path):
    tokenizer = plain.with_special(["<|pad|>", "<|stop|>", "<|user|>"], pad="<|pad|>", end="<|stop|>")
    tokenizer.save(tmp_path / "tokenizer.json")
    about, refused = json.loads((tmp_path / name).read_text()), 0
    for path in places_in(about, short=20):
        for value in WRONG:
            (tmp_path / name).write_text(json.dumps(with_value(about, path, value)))
            try:
                again = load_tokenizer(tmp_path / "tokenizer.json")
            except BadInput as error:
                assert "\n" not in str(error) and str(error).endswith(".")
                refused += 1
            else:
                assert again.encode(TEXT[:99]) == tokenizer.encode(TEXT[:99]), (path, value)
                if path[-1:] != ("content",):  # another name is another tokenizer, and right
                    assert again.special_ids == tokenizer.special_ids, (path, value)
    assert refused > (100 if name == "tokenizer.json" else 10)


def test_a_negative_id_is_no_panic(tmp_path: Path):
    path = tmp_path / "tokenizer.json"
    first = TOKENIZER._fast.id_to_token(TOKENIZER.merges[0][0])
    path.write_text(spoiled(lambda about: about["model"]["vocab"].update({first: -1})))
    with pytest.raises(BadInput, match="neither"):
        load_tokenizer(path)


def test_a_folder_is_not_needed_to_say_where_a_tokenizer_cannot_be(tmp_path: Path):
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "loop", tmp_path / "loop" / "tokenizer.json", tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(BadInput, match="Could not read"):
            load_tokenizer(path)
        with pytest.raises(BadInput, match=r"could not be written|cannot be written to"):
            TOKENIZER.with_special(["<|pad|>"], pad="<|pad|>").save(path / "tokenizer.json")
