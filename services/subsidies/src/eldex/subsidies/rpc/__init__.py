"""gRPC in: `eldex.api.subsidies.v1.SubsidiesService`."""
