"""Training any model: a step, a run and its folder, what is recorded, pictures."""
