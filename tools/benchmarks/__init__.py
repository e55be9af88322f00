"""The parts of tools/bench.py: workers that run one network, kernels one by one, and the limits of the machine."""
