"""Reasoning: writers, votes, searches, and the advantages of a group. What part 4 builds and measures."""
