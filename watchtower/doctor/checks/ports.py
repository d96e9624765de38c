"""The ports of the three sites are free, or held by this very realm."""

from __future__ import annotations

import errno
import socket

from core.services import describe_port_holder, read_services
from watchtower.doctor.checkup import Finding, Patient

SITES = ("tavern", "vault", "watchtower")


def check(patient: Patient) -> Finding:
    services = patient.settings.services
    entries = read_services(patient.paths).values() if patient.running_pid is not None else ()
    own = {int(entry["port"]) for entry in entries if entry["pid"] == patient.running_pid}
    if own:
        held = sorted(own)
        return Finding("ok", f"{', '.join(map(str, held))} are held by this realm", details={"held": held})
    if services.ports == "auto":
        return Finding("ok", "any free ports are taken (`services.ports: auto`)")
    ports = {name: int(getattr(services, name)) for name in SITES}
    refused = {name: error for name, port in ports.items() if (error := _refusal(services.host, port))}
    if closed := {name: error.strerror for name, error in refused.items() if error.errno != errno.EADDRINUSE}:
        told = "; ".join(f"port {ports[name]} ({name}): {reason}" for name, reason in closed.items())
        hint = "`services.host` must be an address of this machine, and ports below 1024 are root's."
        return Finding("failure", f"Cannot listen on {services.host}: {told}.", hint, {"refused": closed})
    if busy := {name: ports[name] for name in refused}:
        holders = "; ".join(f"{port} ({name}) is taken by {describe_port_holder(port)}" for name, port in busy.items())
        hint = "Stop that program, set other ports under `services`, or use `realm up --ports auto`."
        return Finding("failure", f"Port {holders}.", hint, {"busy": busy})
    return Finding("ok", f"{', '.join(map(str, ports.values()))} are free", details={"ports": ports})


def _refusal(host: str, port: int) -> OSError | None:
    """Why a site cannot listen there; None when it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As the sites do: a port in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return error
    return None
