"""A recursive self-improvement loop whose every claim is grounded, recorded and re-derivable."""

__version__ = "0.1.0"
