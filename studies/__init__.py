"""Built-in studies: an experiment with its arms, its record, its figure and the sentence that its numbers allow."""
