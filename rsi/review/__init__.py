"""Reading a run: show, list, log, diff, verify."""
