"""The sandbox that isolates: single-use containers of a Docker engine."""
