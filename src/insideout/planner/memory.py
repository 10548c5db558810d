"""How many bytes training a GPT takes on one device: a formula for every part. What it takes: allocations.py.

Always there, for N parameters: 4N, and the optimizer's 8N, with Muon 4 less for each number in a hidden matrix.
Gradients take 4N once all are made, throughout when they accumulate over several batches.

Kept by the forward pass for the backward pass, for each of B·T tokens. The residual stream has 4 bytes a number, what
matrix products read and write has c: 4 in float32, 2 otherwise. A = H·D, K = G·D, F hidden units, V vocabulary:

    norm            rmsnorm 4C + 4, layernorm 4C + 8, and cC handed on (twice to swiglu unless in float32)
    attention       queries, keys, values and output of the fused kernel 4cA, and its sums 4H
                    QK-norm: 4(H + G)
                    c(A + 2K) instead of those of the above that are still views into the fused product
    feed-forward    gelu, relu² 2cF, swiglu 4cF
    loss            4V; and once, unless in float32, 2 bytes for each number in a matrix: its copy in that precision
                    cV more where the logits are capped

That is with the gradients written by hand that are used on a CPU (transformer.kernels); attention's own, in bfloat16,
keeps no sums. A GPU's kernels keep more: 12V for the loss, and for QK-norm unless in float32 8(A + K), and cA for an
output laid out again.

What is measured, and what is not. By hand, on a CPU: within 1% in float32, 8% in bfloat16. A GPU's kernels: not on a
GPU, but with autograd's own on a CPU. There the formula is exact with LayerNorm, in bfloat16 also with QK-norm. It
takes RMSNorm for one fused kernel, which a CPU's autograd has not: there the formula says too little, by up to a
quarter in the small shapes of the tests. So a plan for a GPU is no upper bound. What fuses more (torch.compile) keeps
less.

The T × T pattern is not kept: the fused kernel computes it again, piece by piece. The masks of ALiBi and of a window
are. When activations are recomputed, a block keeps its input, 4C, and one block at a time all of the above.

The peak is the largest of five moments, see `moments`. Over n processes: ddp adds 4N, the buckets in which gradients
travel. fsdp divides parameters, gradients and optimizer by n, and adds what it gathers whole: head, embedding, and
four blocks' worth of weights and buckets. tensor divides the matrices, and what is kept inside a layer, by n; the
residual stream and the logits stay, and norms and loss are left to autograd: 4C more a norm, 4(A + K) + cA more for
QK-norm, 12V for the loss.
Taught in book/2-building-a-transformer/08_memory_and_speed.md. Approach: Korthikanti et al. 2023, §4.
"""

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Literal

from insideout.errors import BadInput
from insideout.planner.counts import MOST_PARAMETERS, count, widths
from insideout.transformer.config import GPTConfig

ROWS, LONGEST = 64, 512
"""As in transformer.kernels, which imports torch: this module does without."""
MOST_DEVICES, MOST_TOKENS = 1_000_000, 10**12
"""On all devices together, and in one forward pass on each: no plan is made for more."""


@dataclass(frozen=True)
class Load:
    """What is trained, and how: all that decides the memory of one device."""

    config: GPTConfig
    batch_size: int = 8
    """Sequences of config.context_length tokens in one forward pass on each device; with tensor, on all together."""
    accumulation: int = 1
    """Forward passes whose gradients are added up before one update."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the matrix products; weights, gradients and optimizer stay in float32."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    checkpoint_activations: bool = False
    """Recompute the activations in the backward pass."""
    parallel: Literal["ddp", "fsdp", "tensor"] = "ddp"
    n_devices: int = 1
    kernels: Literal["cpu", "gpu"] = "cpu"
    """Whose operations: a CPU's, which the formula is measured on, or a GPU's, which it is not."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "accumulation", "n_devices"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.n_devices > MOST_DEVICES:
            raise BadInput(f"n_devices is {shown(self.n_devices)}; it must be at most {MOST_DEVICES:,}.")
        for name, size in (
            ("batch_size · context_length", self.batch_size),
            ("accumulation · context_length", self.accumulation),
        ):
            if size * self.config.context_length > MOST_TOKENS:
                raise BadInput(
                    f"{name} is {shown(size * self.config.context_length)}; it must be at most {MOST_TOKENS:,} tokens."
                )
        if count(self.config).total > MOST_PARAMETERS:
            raise BadInput(
                f"The model has {shown(count(self.config).total)} parameters; it must be at most {MOST_PARAMETERS:g}."
            )
        if self.config.dropout:
            raise BadInput(f"dropout is {self.config.dropout}; the plan counts no dropout masks, so it must be 0.")
        if self.parallel == "tensor":
            for name, size in (("n_heads", self.config.n_heads), ("d_ff", self.config.ff_width)):
                if size % self.n_devices:
                    raise BadInput(
                        f"{name} {size} cannot be dealt out to {self.n_devices} devices: choose parallel fsdp, or a "
                        f"number of devices that divides {size}."
                    )
            if self.config.kv_heads % self.n_devices and self.n_devices % self.config.kv_heads:
                raise BadInput(
                    f"n_kv_heads {self.config.kv_heads} and {self.n_devices} devices do not divide each other: choose "
                    "parallel fsdp, or another number of devices."
                )


def shown(n: int) -> str:
    """A number for a sentence, however long it is."""
    return f"{n:,}" if n < 10**15 else f"about 10^{round(math.log10(n))}"


@dataclass(frozen=True)
class Memory:
    """Bytes on one device at one moment of a training step."""

    parameters: float = 0.0
    gradients: float = 0.0
    optimizer: float = 0.0
    low_precision: float = 0.0
    """Copies of matrices in the precision of the products, kept for the backward pass."""
    activations: float = 0.0
    """Kept by the blocks and the last norm."""
    logits: float = 0.0
    """Logits, and their powers, which become their gradient."""
    exchange: float = 0.0
    """Weights gathered from other processes, and buckets in which gradients travel."""
    working: float = 0.0
    """Of the computation under way; and tables, masks, and the batch."""

    @property
    def total(self) -> float:
        return sum(getattr(self, field.name) for field in fields(self))


def peak(load: Load) -> tuple[str, Memory]:
    """The moment of a step at which most memory is in use, and what for."""
    return max(moments(load).items(), key=lambda each: each[1].total)


def moments(load: Load) -> dict[str, Memory]:
    """Memory at the moments of a step of which one is the peak.

    loss          all that was kept; the logits and their powers, 8V a token, unless in float32 6V; on a GPU 12V; with
                  a cap cV more
    last block    what all blocks kept, and the working space of one; the head's gradient
    first block   what one block kept, and the gradients of the others
    embedding     all gradients; a matrix that is head and embedding has one from each use, and then their sum
    update        all gradients, and the optimizer's working space
    """
    b = Bytes(load)
    layers, again = load.config.n_layers, load.checkpoint_activations
    held = b.all_gradients if load.accumulation > 1 else 0.0
    tied = load.config.tie_embeddings
    head = 4 * b.head if tied or not held else 0.0  # a tied one waits until the embedding's is there
    one_copy, head_copy = b.copies / layers, 2 * b.head if b.low else 0.0
    before = (layers - 1) * (b.residual if again else b.block_keeps)  # by all blocks but the one under way

    def moment(gradients: float, activations: float = 0.0, low_precision: float = 0.0, **rest: float) -> Memory:
        working = b.tables + rest.pop("working", 0.0)
        return Memory(b.parameters, gradients, b.optimizer, low_precision, activations, working=working, **rest)

    def in_block(before: float, low_precision: float, behind: int) -> Memory:
        """In the feed-forward layer, or later in attention, whichever takes more."""
        made = 0.0 if held else 4 * b.block / b.owners
        common = {"low_precision": low_precision, "exchange": b.exchange_in_block}
        early = moment(held + head + behind * made, before + b.block_keeps, working=b.feed_forward_work, **common)
        kept_now = before + b.block_keeps - b.feed_forward_keeps
        late = moment(held + head + (behind + 1) * made, kept_now, working=b.attention_work, **common)
        return max(early, late, key=lambda each: each.total)

    if tied:  # a gradient from each use, and their sum, one of them counted already
        more = (3 if held else 2) * b.head
    else:
        more = b.embedding if held else 0.0  # the new one, before it is added
    return {
        "loss": moment(
            held,
            before + (b.residual if again else b.block_keeps) + b.last_norm,
            (0.0 if again else b.copies) + head_copy,
            logits=((12.0 if not b.by_hand else 6.0 if b.low else 8.0) + b.cap) * load.config.vocab_size * b.tokens,
            exchange=b.exchange_outside,
        ),
        "last block": in_block(before, one_copy if again else b.copies, 0),
        "first block": in_block(0.0, one_copy, layers - 1),
        "embedding": moment(b.all_gradients + 4 * more, working=b.residual, exchange=b.exchange_outside),
        "update": moment(b.all_gradients, working=b.update_work, exchange=b.exchange_at_rest),
    }


class Bytes:
    """The parts, in bytes on one device. Names as in the formulas above."""

    def __init__(self, load: Load) -> None:
        self.load, self.config = load, load.config
        self.counts = counts = count(load.config)
        self.low = load.precision != "float32"
        self.c = 2 if self.low else 4
        self.tokens = load.batch_size * load.config.context_length  # B·T
        self.share = load.n_devices if load.parallel == "tensor" else 1  # matrices and heads are dealt out
        self.owners = load.n_devices if load.parallel == "fsdp" else 1  # parameters, gradients and state are
        on_cpu = load.kernels == "cpu"
        self.by_hand = on_cpu and self.share == 1  # gradients of norms and loss as in transformer.kernels
        plain = load.config.positions != "alibi" and load.config.window is None
        self.attends_by_hand = on_cpu and self.low and plain and load.config.context_length <= LONGEST
        self.head, self.embedding = counts.head / self.share, counts.embedding / self.share  # numbers, not bytes
        self.hidden = counts.n_layers * counts.block_matrices / self.share
        self.block = counts.block_matrices / self.share + counts.block_vectors
        self.total = counts.n_layers * self.block + self.head + self.embedding + counts.rest
        self.parameters = self.all_gradients = 4 * self.total / self.owners
        self.optimizer = (8 * self.total - (4 * self.hidden if load.optimizer == "muon" else 0)) / self.owners
        self.copies = 2 * self.hidden if self.low else 0.0
        self.residual = 4.0 * load.config.d_model * self.tokens
        self.cap = self.c if load.config.logit_cap else 0  # what the cap keeps of a logit
        self.a, self.heads = widths(load.config)[0] / self.share, load.config.n_heads / self.share
        self.kv_heads = max(load.config.kv_heads / self.share, 1)  # one may serve queries of several processes
        self.k = self.kv_heads * load.config.head_width

    @cached_property
    def norm(self) -> float:
        """A token: what a norm keeps, and what it hands on to matrices."""
        own = (8 if self.share > 1 else 4) * self.config.d_model + 4
        if self.config.norm == "layernorm":
            own = 4 * self.config.d_model + 8
        return own + self.c * self.config.d_model

    @property
    def last_norm(self) -> float:
        return self.norm * self.tokens

    @cached_property
    def attention_keeps(self) -> float:
        config, c, a, k = self.config, self.c, self.a, self.k
        grouped = self.kv_heads < self.heads
        views = config.positions != "rope" and not config.qk_norm  # queries as they come out of the fused product
        keeps = self.norm + c * a + (0 if self.attends_by_hand else 4 * self.heads)  # the kernel's output and sums
        keeps += 0 if views else c * a  # queries
        keeps += c * a if grouped or not views else 0  # keys, turned or repeated for each query
        keeps += c * a if grouped else 0  # values, repeated
        if views or not grouped or (config.qk_norm and (self.by_hand or not self.low)):
            keeps += c * (a + 2 * k)
        if config.qk_norm:
            keeps += 4 * (self.heads + self.kv_heads)
            if self.share > 1 or (self.low and not self.by_hand):
                keeps += 4 * (a + k) * (2 if self.low else 1) + c * a
        mask = 0.0
        if config.window is not None and config.window < config.context_length and config.positions != "alibi":
            mask = c * config.context_length**2
        return keeps * self.tokens + mask

    @cached_property
    def feed_forward_keeps(self) -> float:
        config = self.config
        if config.mlp == "none":
            return 0.0
        twice = self.c * config.d_model if self.low and config.mlp == "swiglu" else 0
        hidden = self.c * (4 if config.mlp == "swiglu" else 2) * config.ff_width / self.share
        return (self.norm + twice + hidden) * self.tokens

    @property
    def block_keeps(self) -> float:
        return self.attention_keeps + self.feed_forward_keeps

    @property
    def feed_forward_work(self) -> float:
        """Gradients under way: of the residual stream, the layer's input, and one or two more of the hidden units.

        By then the layer's last matrix has given back what it kept.
        """
        hidden = {"none": 0, "swiglu": 2}.get(self.config.mlp, 1) * self.config.ff_width / self.share
        return self.residual + self.c * (self.config.d_model + hidden) * self.tokens

    @property
    def attention_work(self) -> float:
        """Gradients under way: as above, and of output, queries, keys, values, and their fused product.

        By hand, also what these are computed from, heads side by side, and three pieces of T × T.
        """
        more = 0.0
        if self.attends_by_hand:
            pieces = 3 * self.heads * min(ROWS, self.config.context_length)
            more = self.c * (4 * self.a + pieces) * self.tokens
        return more + self.residual + self.c * (self.config.d_model + 5 * self.a + 2 * self.k) * self.tokens

    @property
    def tables(self) -> float:
        """What follows from the config, and a batch of ids and targets."""
        length, batch = self.config.context_length, 16.0 * self.tokens
        if self.config.positions == "rope":
            return batch + 16.0 * length * self.config.head_width  # cosines and sines, and those of this text
        if self.config.positions == "alibi":
            return batch + (6.0 if self.low else 4.0) * self.heads * length**2
        return batch + (4.0 * length * self.config.d_model if self.config.positions == "sinusoidal" else 0.0)

    @property
    def update_work(self) -> float:
        """Muon: Newton-Schulz of the largest set of matrices of one shape takes 5 copies of them, and one X Xᵀ."""
        if self.load.optimizer == "adamw":
            return 0.0
        c, f, (a, k) = self.config.d_model, self.config.ff_width, widths(self.config)
        shapes = {(a + 2 * k, c): 1}
        for shape, n in (((c, a), 1), ((f, c), 2 if self.config.mlp == "swiglu" else 1), ((c, f), 1)):
            shapes[shape] = shapes.get(shape, 0) + n
        most = max(n * (5 * rows * columns + min(rows, columns) ** 2) for (rows, columns), n in shapes.items())
        return 4.0 * self.config.n_layers * most

    @property
    def exchange_at_rest(self) -> float:
        """DDP's buckets."""
        return 4.0 * self.total if self.load.parallel == "ddp" and self.load.n_devices > 1 else 0.0

    @property
    def exchange_outside(self) -> float:
        """FSDP: head, embedding and norm gathered, and the buffer or bucket of one block."""
        if self.owners == 1:
            return self.exchange_at_rest
        return 4.0 * (self.head + self.embedding + self.counts.rest + self.block)

    @property
    def exchange_in_block(self) -> float:
        """FSDP: also this block's weights and whole gradients, the next one's weights, the last one's gradients."""
        return self.exchange_outside + (3 * 4.0 * self.block if self.owners > 1 else 0.0)
