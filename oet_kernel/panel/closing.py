"""Closing of a widget with its children, which a closed box leaves open."""

from ipywidgets import Widget


def close_all(widget: Widget) -> None:
    """Close a widget and all its descendants.

    Parameters
    ----------
    widget
        Box or any other widget.
    """
    for child in getattr(widget, "children", ()):
        close_all(child)
    Widget.close(widget)
