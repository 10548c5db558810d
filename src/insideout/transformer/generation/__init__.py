"""Writing: sampling, the cache, and the ways of writing fast."""
