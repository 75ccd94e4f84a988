"""Events: from kernel messages, through the bus, to server-sent events."""
