"""Formatting of values as text: tables, times, colours, Python. Pure functions; nothing here prints."""
