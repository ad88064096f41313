"""Words to vectors: a bank of names or a CLIP text tower, behind one protocol."""
