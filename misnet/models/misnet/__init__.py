"""The paper's network: configuration, blocks, fusion, heads, model."""

from misnet.models.misnet.config import MISNetConfig as Config
from misnet.models.misnet.model import MISNet as build

__all__ = ["Config", "build"]
