"""gRPC in: `eldex.api.credit.v1.CreditService`."""
