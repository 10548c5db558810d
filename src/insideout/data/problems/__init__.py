"""Problems whose answers can be checked, and the reading of answers. Used in part 4. Standard library only."""

from insideout.data.problems.countdown import Countdown
from insideout.data.problems.from_file import FromFile
from insideout.data.problems.gsm8k import gsm8k
from insideout.data.problems.reading import strict, verdict
from insideout.data.problems.sums import Sums
from insideout.data.problems.word_problems import WordProblems

__all__ = ["Countdown", "FromFile", "Sums", "WordProblems", "gsm8k", "strict", "verdict"]
