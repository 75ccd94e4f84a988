"""Closing a widget with those in it: a box that is closed leaves its children open."""

from ipywidgets import Widget


def close_all(widget: Widget) -> None:
    """Close a widget and all below it.

    Parameters
    ----------
    widget
        A box or any other widget.
    """
    for child in getattr(widget, "children", ()):
        close_all(child)
    Widget.close(widget)
