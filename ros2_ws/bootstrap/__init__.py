"""Set up what `make demo`, `make test` and `make lint` need, with the standard library alone."""
