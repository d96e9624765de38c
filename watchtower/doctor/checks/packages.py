"""Every package the realm depends on is installed, in a version it was tested with."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from watchtower.doctor.checkup import Finding, Patient

DISTRIBUTION = "realm-of-training"
HINT = "Install again: `pip install -c constraints.txt -e .` in the checkout."


def check(patient: Patient) -> Finding:
    try:
        needed = [Requirement(text) for text in requires(DISTRIBUTION) or []]
    except PackageNotFoundError:
        return Finding("failure", f"The package {DISTRIBUTION} itself is not installed.", HINT)
    runtime = [need for need in needed if need.marker is None or need.marker.evaluate({"extra": ""})]
    problems = {need.name: problem for need in runtime if (problem := _problem(need))}
    if problems:
        listed = "; ".join(f"{name} {problem}" for name, problem in problems.items())
        return Finding("failure", f"Packages are missing or too old: {listed}.", HINT, {"problems": problems})
    return Finding("ok", f"all {len(runtime)} packages are installed", details={"count": len(runtime)})


def _problem(need: Requirement) -> str | None:
    try:
        found = version(need.name)
    except PackageNotFoundError:
        return "is not installed"
    # A local build such as 2.13.0+cpu satisfies ==2.13.0.
    return None if need.specifier.contains(found, prereleases=True) else f"is {found}, needed is {need.specifier}"
