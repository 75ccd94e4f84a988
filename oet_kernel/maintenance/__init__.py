"""Keeping the state folder well: what is removed with time, and what a look over it finds and mends."""
