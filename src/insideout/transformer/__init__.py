"""Part 2: a GPT, from embeddings to the KV cache.

Nothing is imported here, so that the configuration loads without torch: take each name from its module.
"""
