"""Notebooks as procedures: their cells run one by one, in our kernel or in one of another language below it."""
