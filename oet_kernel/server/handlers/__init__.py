"""Tornado request handlers: authorize, decode, call the service, encode; one module for each resource."""
