"""Simulated trials, for studying policies: the real loop over a surface whose truth is known, all of it in memory."""
