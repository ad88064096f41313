"""Export of trained networks and text towers to plain ONNX, with parity checks and a benchmark."""

__version__ = "0.1.0"
