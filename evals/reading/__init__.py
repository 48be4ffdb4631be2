"""The static pass behind `diff-reading`: a candidate's syntax tree, its names resolved, rule by rule.

`module` says which name is bound to what, `names` what an expression stands for, `folding` which constants it comes
to, `values` what it follows from. Each further module is one family of rules; `child` runs them all. Everything here
runs in the killable child of `rsi.confined`, because it reads hostile text.
"""
