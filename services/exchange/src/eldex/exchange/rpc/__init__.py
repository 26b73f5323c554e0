"""gRPC in: what the exchange offers itself, and the forwarding of everything else."""
