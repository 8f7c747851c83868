"""Files to weights, without running what is in them."""
