"""What `init` and `main` of a script take, read from its text, and whether arguments fit; pure."""
