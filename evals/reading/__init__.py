"""The static pass behind `diff-reading`: a candidate's syntax tree, its names resolved, rule by rule.

`module` says which name is bound to what, `names` (with `dotted`) what an expression stands for, `folding` which
constants it comes to, `places` where a path lies, `reader` what follows from what. Each further module is one family of
rules; `child` runs them all. Everything here runs in the killable child of `rsi.confined`: it reads hostile text.
"""
