"""The fork server, from which kernels are forked, and its client in the service."""
