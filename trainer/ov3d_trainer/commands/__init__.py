"""Parts of the command line that have many options of their own."""
