"""The inner loops behind the functions: the same signatures in each module."""
