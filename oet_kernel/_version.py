"""Version of this package, in a module without imports: hatchling reads it."""

__version__ = "0.1.0.dev0"
