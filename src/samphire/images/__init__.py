"""Pictures: reading them, preparing them for a model, drawing masks on them.

The only room that imports Pillow.
"""
