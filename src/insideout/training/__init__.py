"""What every part trains with: one loop, its optimizers, schedule and checkpoints."""
