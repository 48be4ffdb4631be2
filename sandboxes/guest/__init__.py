"""What runs inside a sandbox: standard library and NumPy only, nothing of the host side."""
