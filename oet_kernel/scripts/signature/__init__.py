"""Parameters of a script's `init` and `main`, read from its text, and checks of arguments; pure."""
