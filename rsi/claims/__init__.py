"""What may be claimed: certified gains, their size, which edits they come from. Pure functions over numbers."""
