"""The paper's network: configuration, blocks, fusion, heads, model."""
