"""Observation data archive: source of scheduling block definitions, store of instances."""
