"""Looking inside a GPT: read and change what it computes, by name, without a line of it in the model's forward pass.

    record, edit                                the activation at a hook point, and what follows when it is another
    logit_lens, attribution                     what a layer already knows; what each part added to a logit
    patch, ablate                               which activations suffice for an answer; what is lost without a head
    induction_scores, previous_token_scores     what a head looks at

Taught in book/2-building-a-transformer/10_interpretability.md. `hook_points(model)` lists the names.
"""

from insideout.transformer.interpret.ablation import ablate
from insideout.transformer.interpret.direct_logits import Attribution, attribution
from insideout.transformer.interpret.heads import induction_scores, previous_token_scores
from insideout.transformer.interpret.hook_points import hook_points
from insideout.transformer.interpret.hooks import edit, record
from insideout.transformer.interpret.lens import logit_lens
from insideout.transformer.interpret.patching import patch

__all__ = [
    "Attribution",
    "ablate",
    "attribution",
    "edit",
    "hook_points",
    "induction_scores",
    "logit_lens",
    "patch",
    "previous_token_scores",
    "record",
]
