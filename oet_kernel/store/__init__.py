"""Persistent data of the service: procedures, events and activities, in a database in the state folder."""
