"""The record of a run: an executed notebook, built from the events and states of a procedure."""

from oet_kernel.records.header import About
from oet_kernel.records.notebook import Recorder, build

__all__ = ["About", "Recorder", "build"]
