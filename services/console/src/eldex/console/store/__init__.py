"""MongoDB behind the console's ports; its own database, read by nobody else."""
