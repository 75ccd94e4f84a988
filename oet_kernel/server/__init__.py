"""Jupyter Server extension: authenticates, decodes, calls the service and encodes; assembly of the components."""
