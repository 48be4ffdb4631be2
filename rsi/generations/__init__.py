"""Generations: the loop improves its own proposer, run after run, and says by how much.

A generation is an ordinary run of the task `proposer`. Nothing here decides anything about a trial: what is here chains
runs, reads what they came to, and tells it.
"""
