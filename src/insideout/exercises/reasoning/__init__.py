"""Exercises of part 4: one module a chapter."""
