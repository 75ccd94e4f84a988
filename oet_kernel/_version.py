"""The version of this package, alone: hatchling reads it, and nothing is imported for it."""

__version__ = "0.1.0.dev0"
