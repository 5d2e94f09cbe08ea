"""Measurements, side by side in one run. `make bench-revocation` and its like start them."""
