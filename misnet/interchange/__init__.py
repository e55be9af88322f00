"""Weights of the models in the layout of the same networks elsewhere, and files of them."""
