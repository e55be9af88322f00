"""Pictures of what a network does inside: spikes, membranes, rates, maps, surrogate, weights; of any model."""
