"""Measurements of DESIGN section 10; `make bench` runs them all and prints one table (`benchmarks.all_figures`)."""
