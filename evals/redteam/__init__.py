"""The red team: attacks on the score and honest edits, run for real, and what each verifier makes of them."""
