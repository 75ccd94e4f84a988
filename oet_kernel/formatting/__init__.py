"""How values are shown as text: tables, times, colours, Python. Pure; nothing here prints."""
