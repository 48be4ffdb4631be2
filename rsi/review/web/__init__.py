"""A run as a web page: one file that needs no network (`rsi report`), or served on loopback (`rsi view`).

Nothing else imports this package; its libraries stay out of the core.
"""
