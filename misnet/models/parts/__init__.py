"""What models share: switches for streams and neurons, heads, fusion, residual blocks."""
