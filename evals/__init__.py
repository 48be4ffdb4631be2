"""Grounded verifiers, one module each; trusted code that never imports what a candidate wrote."""
