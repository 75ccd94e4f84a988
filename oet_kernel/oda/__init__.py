"""The observation data archive: scheduling block definitions out, instances in."""
