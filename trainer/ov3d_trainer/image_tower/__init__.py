"""A pixel-text network: images to dense features in a text space, trained from region captions (as LSeg, OpenSeg)."""
