"""A small text tower: a sentence encoder distilled over a list of words and phrases, for the text side of a bundle."""
