"""The reference of each scorer: the call of a package, or a loop written from the definition, on ONE network.

A module says its `PACKAGE`. A function in it is given `network`, a plain module from inputs to `[rows, outputs]`;
`evaluation`, what that network alone is evaluated on (`Evaluation.alone`); `rows`, the numbers of the rows to explain;
and the options of the scorer by their names. It returns φ `[rows, features]`; of a global method, for all rows of the
evaluation, the scores and, where it has a sign, below them the signed means: `[1, features]` or `[2, features]`.
Draws are those of `evaluation.seed` for all its rows, whichever are asked for.
"""
