"""SemanticKITTI in its published layout."""
