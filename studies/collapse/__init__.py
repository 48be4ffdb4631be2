"""Model collapse against grounding: a small language model trained, generation after generation, on its own text."""
