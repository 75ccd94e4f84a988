"""Notebooks as procedures: their cells run one by one, in this kernel or in a child kernel of another language."""
