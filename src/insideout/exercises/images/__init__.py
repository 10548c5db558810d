"""Exercises of part 5: one module a chapter."""
