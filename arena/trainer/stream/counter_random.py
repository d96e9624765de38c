"""Random numbers that are a pure function of counters, so that nothing has to be remembered or replayed (law 3)."""

from __future__ import annotations

_MASK = (1 << 64) - 1


def mix(value: int) -> int:
    """SplitMix64's finalizer (Steele, Lea, Flood 2014): 64 bits in, 64 well-mixed bits out."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def mixed(first: int, *others: int) -> int:
    """64 well-mixed bits of a sequence of numbers; the order of the numbers counts."""
    value = mix(first)
    for number in others:
        value = mix(value ^ number)
    return value
