"""CUDA C on the CPU: the same .cu files, compiled by g++, run under detectors of races and of wrong barriers."""
