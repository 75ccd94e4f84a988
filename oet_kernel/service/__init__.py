"""Use cases and rules: the commands on procedures and activities, and their consequences."""
