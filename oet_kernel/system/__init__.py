"""Utilities for processes, folders and threads of this machine; independent of procedures."""
