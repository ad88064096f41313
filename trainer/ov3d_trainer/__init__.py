"""Training of the sparse student network: distils language features from images into a 3D U-Net."""

__version__ = "0.1.0"
