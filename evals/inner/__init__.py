"""Inner tasks: small trainings with a known floor, and the loops over them by which a ranking program is judged.

Trusted code. Candidate code never runs here: what it prefers arrives as numbers.
"""
