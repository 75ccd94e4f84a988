"""State folder of a service: its layout, its lock, and the discovery of services."""
