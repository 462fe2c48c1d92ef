"""Corridor 光谷科创大走廊算力调度: the service, its command line and its client."""

__version__ = "0.1.0"
