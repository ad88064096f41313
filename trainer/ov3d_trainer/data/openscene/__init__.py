"""Data sets as OpenScene has processed them: points, colours and labels of a scene in one file, images in folders."""
