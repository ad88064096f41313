"""What a bundle is worth: one command that asks a bundle everything its model card claims and prints the figures."""
