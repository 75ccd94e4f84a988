"""The record of a run: an executed notebook, made of what a procedure has said and become."""

from oet_kernel.records.header import About
from oet_kernel.records.notebook import Recorder, build

__all__ = ["About", "Recorder", "build"]
