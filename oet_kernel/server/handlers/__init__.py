"""Tornado request handlers: decode, authorize, call the service, encode; one resource a file."""
