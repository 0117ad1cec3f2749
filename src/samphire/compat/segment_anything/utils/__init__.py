"""Transforms and the ONNX wrapper, under their published names."""
