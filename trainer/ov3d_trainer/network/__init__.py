"""The student network: sparse convolutions in plain torch, and what of it losses need."""
