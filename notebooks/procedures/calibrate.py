"""A bandpass calibration on made-up data: an `async` main, plots, and results as events.

What `plt.show()` and `display()` show arrives at listeners as `procedure.output.display`; arrays and numbers of numpy
can be published as they are.
"""

import asyncio

import matplotlib.pyplot as plt
import numpy as np

from oet_kernel.api import publish

ANTENNAS = ("M000", "M001", "M002", "M003")
CHANNELS = np.linspace(0.95, 1.76, 256)  # GHz


def init(subarray_id: int = 1, seed: int | None = 1):
    """Prepare the making of data.

    Parameters
    ----------
    subarray_id
        Subarray to calibrate.
    seed
        Seed of the noise; null for another noise each time.
    """
    global generator, subarray
    generator = np.random.default_rng(seed)
    subarray = subarray_id


async def main(integrations: int = 3):
    """Integrate, fit the bandpass of each antenna, show a plot.

    Parameters
    ----------
    integrations
        How many integrations are averaged.
    """
    publish("user.script.announce", msg=f"Calibrating the bandpass of {len(ANTENNAS)} antennas on subarray {subarray}")
    gains = np.zeros((len(ANTENNAS), CHANNELS.size))
    for number in range(1, integrations + 1):
        gains += observe() / integrations
        publish("user.script.announce", msg=f"Integration {number} of {integrations}")
        await asyncio.sleep(0.2)

    _, axes = plt.subplots(figsize=(7, 4))
    for antenna, gain in zip(ANTENNAS, gains, strict=True):
        fitted = np.polynomial.Polynomial.fit(CHANNELS, gain, deg=5)(CHANNELS)
        rms = np.sqrt(np.mean((gain - fitted) ** 2))
        publish("calibration.bandpass", subarray_id=subarray, antenna=antenna, rms=rms, gain=fitted[::32])
        axes.plot(CHANNELS, gain, ".", markersize=2)
        axes.plot(CHANNELS, fitted, label=f"{antenna}: rms {rms:.4f}")
    axes.set(xlabel="frequency (GHz)", ylabel="gain", title="Bandpass")
    axes.legend()
    plt.show()


def observe():
    """Make one integration: a smooth bandpass for each antenna, and noise."""
    shape = 1 - 0.4 * (CHANNELS - 1.35) ** 2
    ripple = 0.02 * np.sin(40 * np.outer(np.linspace(0.9, 1.1, len(ANTENNAS)), CHANNELS))
    return shape + ripple + generator.normal(scale=0.03, size=ripple.shape)
