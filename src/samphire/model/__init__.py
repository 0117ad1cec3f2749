"""The published model as differentiable PyTorch modules: no files, no images, no devices."""
