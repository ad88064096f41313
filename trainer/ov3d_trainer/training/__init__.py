"""The training itself: steps, optimiser, random changes of sweeps, several processes, the folder a run writes to."""
