"""Operations that have a cost here, and no kernel: PyTorch runs them."""

from typing import Any

from snncore.tape import Function

__all__ = ["Costed"]


class Costed(Function):
    """The cost alone of an operation of others. kind: its name in counts."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    @property
    def name(self) -> str:
        return self.kind

    def forward(self, *arrays: Any) -> Any:
        raise NotImplementedError(f"{self.kind} is counted, not run")

    def backward(self, *gradients: Any) -> Any:
        raise NotImplementedError(f"{self.kind} is counted, not run")
