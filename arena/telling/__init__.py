"""What is told of the battle: the live report, the page's snapshot, Prometheus, the lineage counts."""
