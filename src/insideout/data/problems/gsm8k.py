"""GSM8K: 8,792 word problems of a primary school, with worked answers, as they were published.

    suite = gsm8k()           files of a folder in INSIDEOUT_DATA, of the cache, or downloaded once; checksums compared

Its 1,319 test problems are the test; of its 7,473 training problems a tenth is kept for development.
Used in part 4. Standard library only. Source: Cobbe et al. 2021 (Training verifiers to solve math word problems).
"""

from insideout.data.fetch import Published, find_or_download
from insideout.data.problems.from_file import FromFile

__all__ = ["gsm8k"]

_AT = "https://raw.githubusercontent.com/openai/grade-school-math/master/grade_school_math/data"
TRAIN = Published(
    "gsm8k/train.jsonl", f"{_AT}/train.jsonl", "17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465"
)
TEST = Published(
    "gsm8k/test.jsonl", f"{_AT}/test.jsonl", "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14"
)


def gsm8k(*, cue: str = "", chat: bool = True) -> FromFile:
    """The suite, `cue` said after every question.

    Raises BadInput where the files are nowhere and cannot be downloaded, or are others.
    """
    paths = [find_or_download(each) for each in (TRAIN, TEST)]
    return FromFile(paths[0], test=paths[1], cue=cue, chat=chat, name="gsm8k")
