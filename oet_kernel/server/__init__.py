"""The Jupyter Server extension: authenticates, decodes, calls the service, encodes; and what builds it all."""
