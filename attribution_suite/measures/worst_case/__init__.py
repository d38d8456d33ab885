"""The worst case of the direct effect: the most that an output can move when x_j alone does.

`domain`: where x_j may go. `lines`: one network along them, and its largest move. `exact`, `enclosure`, `search`: how
the largest move is found. `measure`: an ensemble, each network by the method that fits. `result`: what is returned.
"""
