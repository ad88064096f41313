"""What a trained student is worth: figures, files for the official tools, and one page to look at."""
