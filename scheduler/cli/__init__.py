"""The command line. What gRPC's core reads from the environment it reads once, when imported."""

import os

# Ray starts processes while calls are under way; they exec at once and need no handlers.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
# What goes wrong is raised, and told in our own words.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
