"""Dense features of images from CLIP models that were trained for one vector per image."""
