"""What outlasts the service: procedures, events, activities, in a database in the state folder."""
