"""Control panel for notebooks: overview of procedures, and buttons for operators.

The model (`model`, `log`, `form`) is pure; `session` communicates with the service; the rest are widgets. No other part
of this package imports it, so that only a panel imports ipywidgets.
"""

from oet_kernel.panel.panel import ControlPanel

__all__ = ["ControlPanel"]
