"""Everything on disk: files written whole, models, checkpoints and Gram matrices."""
