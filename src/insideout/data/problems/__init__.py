"""Problems whose answers can be checked, and the reading of answers. Used in part 4. Standard library only."""

from insideout.data.problems.reading import strict, verdict

__all__ = ["strict", "verdict"]
