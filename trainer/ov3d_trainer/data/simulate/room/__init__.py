"""A furnished room seen by a hand-held depth camera."""
