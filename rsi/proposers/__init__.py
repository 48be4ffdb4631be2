"""What suggests the next edit."""
