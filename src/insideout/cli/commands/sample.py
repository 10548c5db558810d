"""`insideout sample`: let a trained model write."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from insideout import files
from insideout.cli.commands.shared import RUNS, loaded
from insideout.errors import BadInput
from insideout.words import harmless


@dataclass(frozen=True)
class Sample:
    """Let a trained model write."""

    prompt: str | None = None
    """How the text begins. Default: as the samples of its training did."""
    run_folder: Annotated[str | None, tyro.conf.arg(name="run", metavar="PATH")] = None
    """The run's directory. Default: the newest in runs/."""
    model: str | None = None
    """Instead of a run, a pretrained model: smollm2, a folder, a .gguf file, or a name on the Hub."""
    max_new_tokens: int = 200
    """How many tokens to write; fewer where the context ends before."""
    temperature: float = 0.8
    """0 always takes the likeliest token; 1 draws as the model believes; more is wilder."""
    top_k: int | None = None
    """Draw from the k likeliest tokens only."""
    top_p: float | None = 0.95
    """Draw from the fewest tokens whose probabilities reach this."""
    min_p: float | None = None
    """Draw from tokens at least this many times as likely as the likeliest."""
    seed: int = 0
    """Another seed, another text."""

    def run(self) -> int:
        from insideout.recipes.runs import Run, newest_run

        if self.max_new_tokens < 1:
            raise BadInput(f"max_new_tokens is {self.max_new_tokens}; it must be at least 1.")
        if not 0 <= self.seed < 2**63:
            raise BadInput(f"seed is {self.seed}; it must be at least 0 and less than 2^63.")
        if self.model is not None and self.run_folder is not None:
            raise BadInput("--model and --run were both given: give one.")
        if self.model is not None:
            model, tokenizer = loaded(self.model)
            context_length, begin = model.config.context_length, "The "
        else:
            if self.run_folder == "":
                raise BadInput("--run is empty: name the directory of a run, or leave it out for the newest.")
            run = Run(files.expanded(self.run_folder, "--run")) if self.run_folder else newest_run(RUNS)
            model, tokenizer = None, run.tokenizer()
            context_length, begin = run.config.model.context_length, run.config.sample_prompt
        prompt = tokenizer.encode(begin if self.prompt is None else self.prompt)
        room = context_length - len(prompt)
        if not prompt or room < 1:
            raise BadInput(
                f"The prompt has {len(prompt)} tokens; it must have at least 1 and fewer than the context length "
                f"{context_length}."
            )
        from insideout.transformer.generation.generate import generate

        [ids] = generate(
            model or run.model(), [prompt], min(self.max_new_tokens, room), temperature=self.temperature,
            top_k=self.top_k, top_p=self.top_p, min_p=self.min_p, stop=tokenizer.stop_ids, seed=self.seed,
        )  # fmt: skip
        print(harmless(tokenizer.decode(ids, special=False)))
        return 0
