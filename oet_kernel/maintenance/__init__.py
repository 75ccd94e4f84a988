"""Maintenance of the state folder: retention, and checks with repairs."""
