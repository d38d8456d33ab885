"""What is still known of x_j: what probes recover of it, whether outputs depend on it, through whom, at what rates.

`targets`: x_j as what a probe is asked for. `ridge`: cross-fitted ridge regressions of many networks together.
`limits`: r and AUC with their standard errors, limits, power and the state that follows. `probes`: what ridge and
boosted probes recover. `dependence`: distance correlation, also given the target. `conditional`: dependence given named
columns (GCM). `proxies`: which columns predict x_j, and through which the output tells it. `rates`: per group.
`linear`: R² of features on each other, and of a hidden unit.
"""
