"""gRPC in: `eldex.api.registry.v1.RegistryService`, one class a noun, joined in `service`."""
