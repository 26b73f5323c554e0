"""The pages: HTTP in, HTML out, nothing from anywhere else."""
