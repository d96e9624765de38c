"""Living under systemd: its notification protocol, the signs of life, the unit file."""
