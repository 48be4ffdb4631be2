"""The sandbox that isolates: single-use containers of a Docker engine."""

from sandboxes.docker.sandbox import DockerSandbox

__all__ = ["DockerSandbox"]
