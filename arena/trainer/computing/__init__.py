"""How steps are computed: precision, attention, memory against time; what the machine can do, and what is chosen."""
