"""The process that kernels are forked from, and who talks to it."""
