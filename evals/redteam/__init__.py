"""The red team: attacks and honest edits, one file each, that show what a verifier is worth."""
