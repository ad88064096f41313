"""Vocabularies, and the text side that turns words into vectors."""
