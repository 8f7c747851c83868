"""Many images: audits of piles, duplicates in training sets."""
