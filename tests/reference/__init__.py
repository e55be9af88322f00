"""Naive float64 twins of the engine's operations, written from the equations and independent of the engine."""
