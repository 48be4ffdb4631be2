"""Where candidate code runs: `docker` isolates, `process` does not and says so."""
