"""The training of any network: steps, loop, phases, checkpoints, resuming, devices, logs."""
