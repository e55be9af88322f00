"""MISNet, the multimodal interactive spiking neural network of Liu et al. 2025, on the snncore engine."""

from misnet import _checkout as _checkout  # before all else: where misnet.datasets and misnet.tools are
from misnet.models.misnet.config import ConfigError, MISNetConfig, preset
from misnet.models.misnet.model import MISNet, Outputs, loss

__all__ = ["ConfigError", "MISNet", "MISNetConfig", "Outputs", "loss", "preset"]
