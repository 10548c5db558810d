"""Text to learn from: corpora, tokens, one cut into training and held out."""
