"""The commands, one module each, and what they share: the table of them, the reading of arguments, help and words."""
