"""What Envoy is told: one listener with TLS 1.3 and client certificates, two ways on, nothing else.

A forwarded call goes whole to the edge door (HTTP/1.1), of each department as many at a time as the exchange
takes: the next is turned away here, for a tenth of what it would cost behind. Everything else, such as streams
and the exchange's own services, goes to the server of grpc.aio under the exchange's own certificate.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import grpc

from eldex.common.rpc.server import MAX_FRAME_BYTES, MAX_MESSAGE_BYTES
from eldex.common.rpc.status import DETAILS_KEY, Failure, plain
from eldex.exchange.rpc.forwarding import BUSY

DOOR, SERVER, ADMIN = "door.sock", "server.sock", "admin.sock"
"""Sockets in the edge's folder."""
IDENTITY, TRUST = "identity", "trust"
"""Secrets in the edge's folder: our certificate with its key, and the authorities of callers."""
_TYPE: Final = "type.googleapis.com/"
_EXTENSIONS: Final = f"{_TYPE}envoy.extensions."
_MOST_WAITING: Final = 4_096
_LONGEST_SECONDS: Final = 70
"""More than the exchange itself waits for a department."""

Config = dict[str, Any]


def listening(
    folder: Path, listen: str, departments: Collection[str], most_each: int, uri: str
) -> Config:
    """The whole of it; `uri` names the exchange itself, `most_each` how many calls a department may hold."""
    host, _, port = listen.rpartition(":")
    address = {"address": host.strip("[]"), "port_value": int(port), "ipv4_compat": host == "[::]"}
    return {
        "node": {"id": "edge", "cluster": "exchange"},
        "admin": {"address": _pipe(folder / ADMIN)},
        "static_resources": {
            "listeners": [
                {
                    "name": "edge",
                    "address": {"socket_address": address},
                    "enable_reuse_port": False,  # nobody takes our callers by listening beside us
                    "per_connection_buffer_limit_bytes": 1024 * 1024,
                    "filter_chains": [
                        {
                            "filters": [
                                _filter("network.http_connection_manager", _http(departments))
                            ],
                            "transport_socket": _tls_of_members(folder),
                        }
                    ],
                }
            ],
            "clusters": [
                *(_door(folder, name, most_each) for name in departments),
                _server(folder, uri),
            ],
        },
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": f"{_EXTENSIONS}resource_monitors.downstream_connections.v3"
                        ".DownstreamConnectionsConfig",
                        "max_active_downstream_connections": 10_000,
                    },
                }
            ]
        },
    }


def _http(departments: Collection[str]) -> Config:
    whole = {"@type": f"{_EXTENSIONS}filters.http.buffer.v3.BufferPerRoute", "disabled": True}
    return {
        "@type": f"{_EXTENSIONS}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "codec_type": "HTTP2",
        "http2_protocol_options": {
            "max_concurrent_streams": 1_024,
            "initial_stream_window_size": 1024 * 1024,
            "initial_connection_window_size": 4 * 1024 * 1024,
            "connection_keepalive": {"interval": "30s", "timeout": "20s"},
            "override_stream_error_on_invalid_http_message": True,
        },
        "common_http_protocol_options": {
            # A caller opens its connection anew now and then, and so finds new replicas.
            "max_connection_duration": "600s",
            "max_headers_count": 100,
        },
        "max_request_headers_kb": 16,
        "request_headers_timeout": "10s",
        "stream_idle_timeout": "0s",
        "drain_timeout": "60s",
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": {"cert": True},
        "use_remote_address": True,
        "generate_request_id": False,
        "server_header_transformation": "PASS_THROUGH",
        # A path leads where its letters say; none is made of another.
        "normalize_path": False,
        "merge_slashes": False,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "local_reply_config": {"mappers": _refusals()},
        "http_filters": [
            _filter(
                "http.buffer",
                {
                    "@type": f"{_EXTENSIONS}filters.http.buffer.v3.Buffer",
                    "max_request_bytes": MAX_FRAME_BYTES,
                },
            ),
            _filter(
                "http.router",
                {
                    "@type": f"{_EXTENSIONS}filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            ),
        ],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "exchange",
                    "domains": ["*"],
                    "routes": [
                        *map(_forwarded, departments),
                        {
                            "match": {"prefix": "/"},
                            "route": {
                                "cluster": "server",
                                "timeout": "0s",
                                "idle_timeout": "0s",
                            },
                            "typed_per_filter_config": {"envoy.filters.http.buffer": whole},
                        },
                    ],
                }
            ]
        },
    }


def _forwarded(department: str) -> Config:
    # What is not of this form, letter for letter, is answered by the server behind.
    methods = rf"/eldex\.api\.{re.escape(department)}\.v[0-9]+\.[A-Za-z0-9]+/[A-Za-z0-9]+"
    longest = f"{_LONGEST_SECONDS}s"
    return {
        "match": {"safe_regex": {"regex": methods}, "grpc": {}},
        "route": {"cluster": door_of(department), "timeout": longest, "idle_timeout": longest},
    }


def door_of(department: str) -> str:
    """Under which name Envoy counts a department's calls."""
    return f"door-{department}"


def _refusals() -> list[Config]:
    """What Envoy says of its own accord, in the words of the exchange."""
    zh = f"请求超过 {MAX_MESSAGE_BYTES} 字节"
    en = f"the request is larger than {MAX_MESSAGE_BYTES} bytes"
    large = plain(grpc.StatusCode.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE", zh, en, "en")
    code = {"default_value": 413, "runtime_key": "edge.too_large"}
    is_large = {"status_code_filter": {"comparison": {"op": "EQ", "value": code}}}
    is_beyond = {"response_flag_filter": {"flags": ["UO"]}}
    chinese = {"name": "accept-language", "string_match": {"prefix": "zh"}}
    return [
        _said(is_large, large),
        _said(
            {"and_filter": {"filters": [is_beyond, {"header_filter": {"header": chinese}}]}},
            BUSY["zh"],
        ),
        _said(is_beyond, BUSY["en"]),
    ]


def _said(when: Config, told: Failure) -> Config:
    headers = {
        "grpc-status": str(told.code.value[0]),
        DETAILS_KEY: base64.b64encode(told.details).decode(),
    }
    how = "OVERWRITE_IF_EXISTS_OR_ADD"
    return {
        "filter": when,
        "body": {"inline_string": told.message},
        "headers_to_add": [
            {"header": {"key": key, "value": value}, "append_action": how}
            for key, value in headers.items()
        ],
    }


def _tls_of_members(folder: Path) -> Config:
    return _filter_named(
        "envoy.transport_sockets.tls",
        {
            "@type": f"{_EXTENSIONS}transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": True,
            # A resumed session would outlive the certificate that it began with.
            "disable_stateless_session_resumption": True,
            "disable_stateful_session_resumption": True,
            "common_tls_context": {
                "alpn_protocols": ["h2"],
                "tls_params": {
                    "tls_minimum_protocol_version": "TLSv1_3",
                    "tls_maximum_protocol_version": "TLSv1_3",
                    "ecdh_curves": ["X25519MLKEM768", "X25519", "P-256"],
                },
                "tls_certificate_sds_secret_configs": [_secret(folder, IDENTITY)],
                "validation_context_sds_secret_config": _secret(folder, TRUST),
            },
        },
    )


def _door(folder: Path, department: str, most: int) -> Config:
    thresholds = {
        "max_requests": most,
        # Whoever comes beyond them finds a connection, and is turned away; nobody waits for one.
        "max_connections": 2 * most,
        "max_pending_requests": most,
    }
    return _cluster(
        door_of(department),
        folder / DOOR,
        {"http_protocol_options": {"enable_trailers": True}},
        circuit_breakers={"thresholds": [thresholds]},
    )


def _server(folder: Path, uri: str) -> Config:
    return _cluster(
        "server",
        folder / SERVER,
        {
            "http2_protocol_options": {
                # A stream that is not read holds back itself alone.
                "initial_stream_window_size": 256 * 1024,
                "initial_connection_window_size": 64 * 1024 * 1024,
            }
        },
        circuit_breakers={
            "thresholds": [{"max_requests": _MOST_WAITING, "max_pending_requests": _MOST_WAITING}]
        },
        transport_socket=_filter_named(
            "envoy.transport_sockets.tls",
            {
                "@type": f"{_EXTENSIONS}transport_sockets.tls.v3.UpstreamTlsContext",
                "common_tls_context": {
                    "alpn_protocols": ["h2"],
                    "tls_params": {
                        "tls_minimum_protocol_version": "TLSv1_3",
                        "tls_maximum_protocol_version": "TLSv1_3",
                    },
                    "tls_certificate_sds_secret_configs": [_secret(folder, IDENTITY)],
                    "combined_validation_context": {
                        "default_validation_context": {
                            "match_typed_subject_alt_names": [
                                {"san_type": "URI", "matcher": {"exact": uri}}
                            ]
                        },
                        "validation_context_sds_secret_config": _secret(folder, TRUST),
                    },
                },
            },
        ),
    )


def _cluster(name: str, path: Path, protocol: Config, **more: Any) -> Config:
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _pipe(path)}}]}],
        },
        "typed_extension_protocol_options": {
            options: {"@type": f"{_TYPE}{options}", "explicit_http_config": protocol}
        },
        **more,
    }


def identity(certificate: bytes, key: Path) -> Config:
    """Our certificate, and where its key is, as Envoy reads a secret: of a key there is no copy."""
    return _resource(
        IDENTITY,
        tls_certificate={
            "certificate_chain": {"inline_string": certificate.decode()},
            "private_key": {"filename": str(key)},
        },
    )


def trust(authorities: bytes) -> Config:
    """Who vouches for callers, as Envoy reads a secret."""
    return _resource(
        TRUST, validation_context={"trusted_ca": {"inline_string": authorities.decode()}}
    )


def _resource(name: str, **what: Config) -> Config:
    kind = f"{_EXTENSIONS}transport_sockets.tls.v3.Secret"
    return {"resources": [{"@type": kind, "name": name, **what}]}


def _secret(folder: Path, name: str) -> Config:
    return {
        "name": name,
        "sds_config": {
            "path_config_source": {
                "path": str(folder / f"{name}.json"),
                "watched_directory": {"path": str(folder)},
            },
            "resource_api_version": "V3",
        },
    }


def _pipe(path: Path) -> Config:
    return {"pipe": {"path": str(path), "mode": 0o600}}


def _filter(kind: str, config: Config) -> Config:
    return _filter_named(f"envoy.filters.{kind}", config)


def _filter_named(name: str, config: Config) -> Config:
    return {"name": name, "typed_config": config}


def text(config: Config) -> bytes:
    """As it is written to a file."""
    return json.dumps(config, indent=1).encode()
