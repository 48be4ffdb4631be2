"""A language model as the proposer: prompt, answer, models, and the one place that imports litellm."""
