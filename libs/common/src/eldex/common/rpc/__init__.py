"""gRPC in and out: calls, statuses, the server, clients and the trunk between them."""
