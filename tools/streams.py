"""Standard streams that a tool can rely on: none of them closed, and every text can be written."""

import io
import os
import sys

__all__ = ["prepare_streams"]


def prepare_streams() -> None:
    """Open what was closed when the process began (`>&-`), and let letters that a stream cannot hold become escapes.

    A closed descriptor would be given to the next file that is opened, and a message to standard error would be written
    into a checkpoint. Under an ASCII or Latin-1 locale the name of a folder in another script is printed as `\\xe9`,
    `\\u4e2d` and the like, where Python would end the run.
    """
    for number, name, flags in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_WRONLY), (2, "stderr", os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        stream = getattr(sys, name)
        if stream is None:
            mode = "r" if name == "stdin" else "w"
            stream = open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
        elif name != "stdin" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
