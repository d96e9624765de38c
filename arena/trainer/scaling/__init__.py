"""One trainer in several processes: torchrun starts them, the first fights the battle, the others follow (ADR 0017)."""
