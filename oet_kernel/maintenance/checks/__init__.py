"""Checks of ``oet doctor``, a module for each subject; a check is one function, added there to its `Checks`."""
