"""200 random configurations: small and odd, with parameters moved away from their tidy initial values."""

import random

from insideout.gradients import Config, init_params


def random_case(seed):
    """(params, ids, config, targets or None). Every tenth has one token, every seventh a vocabulary of 2."""
    rng = random.Random(1000 + seed)
    n_heads = rng.choice([1, 2, 3, 4])
    d_model = n_heads * rng.choice([w for w in (1, 2, 3, 4, 5) if n_heads * w >= 3])
    n_layers = 1 + seed % 3
    vocab_size = 2 if seed % 7 == 0 else rng.randint(2, 9)
    context_length = rng.randint(1, 8)
    t = 1 if seed % 10 == 0 else rng.randint(1, context_length)
    config = Config(vocab_size, context_length, d_model, n_layers, n_heads, rng.randint(1, 12))
    params = init_params(config, seed)
    for value in params.values():
        if not isinstance(value[0], list):  # gains of 1 and biases of 0 would hide mistakes
            value[:] = [number + rng.gauss(0, 0.3) for number in value]
    ids = [rng.randrange(vocab_size) for _ in range(t)]
    targets = None
    if seed % 2:
        targets = [rng.choice([None, rng.randrange(vocab_size)]) for _ in range(t)]
        targets[rng.randrange(t)] = rng.randrange(vocab_size)
    return params, ids, config, targets
