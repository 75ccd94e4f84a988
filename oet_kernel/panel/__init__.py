"""The control panel for notebooks: procedures at a glance, and the buttons that an operator needs.

The model (`model`, `log`, `form`) is pure; `session` talks to the service; the rest are widgets. Nothing else of this
package imports it, so that only who opens a panel imports ipywidgets.
"""

from oet_kernel.panel.panel import ControlPanel

__all__ = ["ControlPanel"]
