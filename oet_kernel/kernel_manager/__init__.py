"""The service's side of kernels: start, watch, command and end them."""
