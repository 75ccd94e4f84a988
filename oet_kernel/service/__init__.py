"""The use cases, and every rule: what is asked of procedures and activities, and what follows."""
