"""Who trains in `benchmarks.training`: one module each, run as a process of its own (`benchmarks.stopwatch`)."""
