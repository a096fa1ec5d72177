"""Controls a run: request, runner, phases, workers, rate search, backlog."""
