"""Comparing verifiers, policies and proposers: the same loop again and again, of which one thing varies."""
