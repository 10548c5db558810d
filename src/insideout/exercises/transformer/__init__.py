"""Exercises of part 2: one module a chapter."""
