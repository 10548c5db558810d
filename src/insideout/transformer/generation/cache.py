"""The KV cache: keys and values of the tokens already read, kept so that they are computed once.

A cache is allocated once, for the longest text it will hold, and written in place. Rows of a batch may stand at
different positions: row b's next token goes to slot `lengths[b]`, and the causal mask hides every slot not
yet written. When all rows stand at the same position the cache says so (`aligned`), and no mask is needed.

Taught in book/2-building-a-transformer/09_kv_cache.md. Shapes: L layers, B batch, G key-value heads,
T new positions, S slots, D head width.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.inputs import listed, whole

MOST = 10**13
"""Numbers that no cache can have."""


class KVCache:
    """Room for the keys and values of `n_slots` positions in every layer."""

    def __init__(
        self,
        config: GPTConfig,
        batch_size: int,
        n_slots: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        batch_size, n_slots = whole("batch_size", batch_size, 0), whole("n_slots", n_slots, 0)
        if (number := 2 * config.n_layers * batch_size * config.kv_heads * n_slots * config.head_width) > MOST:
            raise BadInput(f"A cache of {number:.1e} numbers fits no machine: take fewer rows, or fewer slots.")
        shape = (config.n_layers, batch_size, 2 * config.kv_heads, n_slots, config.head_width)
        self._hold(torch.zeros(shape, device=device, dtype=dtype))
        self.lengths = torch.zeros(batch_size, dtype=torch.long, device=device)  # (B,)
        self.ids = torch.zeros(batch_size, n_slots, dtype=torch.long, device=device)  # (B, S), where `before` is asked
        self.aligned: int | None = 0  # the length every row shares, or None

    def _hold(self, slots: Float[Tensor, "L B both S D"]) -> None:
        self.slots = slots  # keys and values side by side
        half = slots.shape[2] // 2  # two slices, not one chunk: autograd refuses writes into views made together
        self.keys, self.values = slots[:, :, :half], slots[:, :, half:]  # (L, B, G, S, D) each

    @property
    def n_bytes(self) -> int:
        """Memory of keys and values: 2 · L · B · G · S · D · bytes per number."""
        return self.slots.numel() * self.slots.element_size()

    def positions(self, n_new: int) -> Int[Tensor, "#B T"]:
        """Where the next `n_new` tokens of each row stand."""
        steps = torch.arange(n_new, device=self.lengths.device)
        if self.aligned is not None:
            return (steps + self.aligned)[None]
        return self.lengths[:, None] + steps

    def append(
        self, layer: int, k: Float[Tensor, "B G T D"], v: Float[Tensor, "B G T D"]
    ) -> tuple[Float[Tensor, "B G S D"], Float[Tensor, "B G S D"]]:
        """Write one layer's new keys and values; return all that a query may need to see."""
        n_new = k.shape[2]
        if self.aligned is not None:
            end = self.aligned + n_new
            self.keys[layer, :, :, self.aligned : end] = k
            self.values[layer, :, :, self.aligned : end] = v
            return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]
        rows = torch.arange(k.shape[0], device=k.device)[:, None]
        slots = self.positions(n_new)  # (B, T)
        self.keys[layer, rows, :, slots] = k.transpose(1, 2)  # advanced indexing puts (B, T) first
        self.values[layer, rows, :, slots] = v.transpose(1, 2)
        return self.keys[layer], self.values[layer]

    def before(self, ids: Int[Tensor, "B T"]) -> Int[Tensor, "B T"]:
        """Write down the new tokens; return the one before each, of a row's first token any."""
        slots = self.positions(ids.shape[1]).expand(ids.shape)  # (B, T)
        self.ids.scatter_(1, slots, ids)
        return self.ids.gather(1, (slots - 1).clamp(min=0))

    def advance(self, n_new: int) -> None:
        """Call once after all layers have appended: every row has grown by `n_new`."""
        self.lengths += n_new
        if self.aligned is not None:
            self.aligned += n_new

    def set_lengths(self, lengths: Sequence[int]) -> None:
        """After a padded prefill: row b really holds `lengths[b]` tokens; what lies beyond is overwritten later.

        Raises BadInput unless there is one length for each row, none negative and none beyond the slots.
        """
        batch, n_slots = self.slots.shape[1], self.slots.shape[3]
        given = listed(lengths)
        if given is None:
            raise BadInput(f"The lengths are {lengths!r}: give a list, one for each row.")
        lengths = [whole("A row's length", length, 0, n_slots) for length in given]
        if len(lengths) != batch:
            raise BadInput(f"The cache has {batch} rows and was given {len(lengths)} lengths: give one for each row.")
        self.lengths = torch.tensor(lengths, dtype=torch.long, device=self.lengths.device)
        self.aligned = lengths[0] if len(set(lengths)) == 1 else None

    def select(self, rows: Int[Tensor, " N"]) -> None:
        """Go on with these rows, in this order; one that is named twice is held twice."""
        self._hold(self.slots[:, rows])
        self.ids = self.ids[rows]
        self.lengths = self.lengths[rows]
