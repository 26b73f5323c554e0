"""The edge: Envoy takes the members' connections, and hands each forwarded call to this process."""
