"""What turns measurements into decisions."""
