"""Learning: the training loop, its input path, checkpoints, data-parallel workers and tuning."""
