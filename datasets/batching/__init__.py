"""From samples to batches: order, augmentation, a thread that works ahead."""
