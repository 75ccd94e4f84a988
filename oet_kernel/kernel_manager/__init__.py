"""The service's side of kernels: start, monitor, command and end them."""
