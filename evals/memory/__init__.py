"""What `memorisation` rests on: runs of bytes told apart by hashes, literals decoded, tensors read as bytes."""
