"""Transformations of training code: which there are, how each is applied, which is drawn.

`child` finds and applies them with libcst, in the confined child; `choice` draws among them, on this side.
"""
