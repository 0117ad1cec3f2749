"""The verbs: embed, decode, segment. Arrays and an Engine, no file formats."""
