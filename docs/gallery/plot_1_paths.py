"""
Paths of rules on a surface of two coordinates
==============================================

The surface of Müller and Brown, scaled to energies and lengths like those of atoms. Each rule is followed
alone, with a limit on the step and nothing else: a loop of ten lines.
"""

import matplotlib.pyplot as plt
import numpy as np

from relax.rules import FIRE, LBFGS, Adam, CoRe, Frankenstein, MaxStep, Point, Segments

HEIGHTS = np.array([-200.0, -100.0, -170.0, 15.0]) / 50
FACTORS = np.array([(-1, 0, -10), (-1, 0, -10), (-6.5, 11, -6.5), (0.7, 0.6, 0.7)])
CENTRES = np.array([(1, 0), (0, 0.5), (-0.5, 1.5), (-1, 1)])


def surface(x, y):
    """Return the energy (eV) and its derivatives (eV/A) at x and y (A)."""
    energy, along_x, along_y = 0.0, 0.0, 0.0
    for height, (a, b, c), (x0, y0) in zip(HEIGHTS, FACTORS, CENTRES, strict=True):
        dx, dy = x - x0, y - y0
        term = height * np.exp(a * dx**2 + b * dx * dy + c * dy**2)
        energy = energy + term
        along_x, along_y = along_x + term * (2 * a * dx + b * dy), along_y + term * (b * dx + 2 * c * dy)
    return energy, along_x, along_y


def path(rule, start, fmax=0.01, most=500):
    """Return the places (A) that a rule asks for, until the gradient is small."""
    rule, seg = MaxStep(rule, 0.1), Segments([1])
    x = np.array([[*start, 0.0]])  # one row of three coordinates, of which the last is not used
    state, places = rule.init(x), []
    while len(places) < most:
        places.append(x[0, :2])
        energy, *slope = surface(*x[0, :2])
        gradient = np.array([[*slope, 0.0]])
        if np.linalg.norm(gradient) < fmax:
            break
        dx, state = rule.update(state, Point(x, gradient, np.array([[energy]]), seg))
        x = x + dx
    return np.array(places)


# %%
# All start at the same place, high above the deepest minimum. The title has the number of places at which
# forces were asked for.

rules = {
    "L-BFGS": LBFGS(),
    "FIRE": FIRE(),
    "CoRe": CoRe(),
    "CoRe, as printed": CoRe.paper(),
    "Frankenstein": Frankenstein(),
    "Adam": Adam(),
}
x, y = np.meshgrid(np.linspace(-1.5, 1.2, 300), np.linspace(-0.4, 2.0, 300))
energy = surface(x, y)[0]
figure, panels = plt.subplots(2, 3, figsize=(10, 6.2), sharex=True, sharey=True, layout="constrained")
for axes, (name, rule) in zip(panels.flat, rules.items(), strict=True):
    places = path(rule, start=(0.1, 1.7))
    axes.contour(x, y, energy, levels=np.linspace(-3, 3, 25), cmap="Greys_r", linewidths=0.6)
    axes.plot(*places.T, ".-", ms=4, lw=0.9, color="tab:red")
    axes.plot(*places[0], "o", color="tab:blue")
    axes.plot(*places[-1], "*", ms=12, color="tab:green")
    axes.set(title=f"{name}: {len(places)}", aspect="equal")
figure.supxlabel("x, A")
figure.supylabel("y, A")
plt.show()
