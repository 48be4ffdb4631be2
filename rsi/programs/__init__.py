"""A proposer's program: candidate code that ranks, frozen at a run's start, asked in a sandbox, then answers.

What `rsi.calls` is for answers of language models this is for those of a program: `question` is what flows, `front`
asks, `recorded` reads what was answered.
"""
