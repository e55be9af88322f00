"""A data set decoded once: writing the cache in parallel, reading it, checking and previewing a set."""
