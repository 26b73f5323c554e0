"""gRPC in: `eldex.api.institutions.v1.InstitutionsService`, a file for each part of the field."""
