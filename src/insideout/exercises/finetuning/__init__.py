"""Exercises of part 3: one module a chapter."""
