"""Cut the small JSON schemas of this folder out of the CustomResourceDefinitions they come from.

Run ``python deploy/k8s/schemas/derive.py FILE…`` with the files that README.md names. Of a CRD only
the fields in ``KEPT`` survive, so a schema refuses what its CRD would refuse and also every field the
project does not use yet: to use one, add it here and derive again. Of skaffold's own schema (.json)
only the descriptions go.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent

#: Per kind, the dotted paths kept with everything below them; list items add no step to a path.
KEPT: dict[str, tuple[str, ...]] = {
    "Certificate": (
        "spec.commonName",
        "spec.dnsNames",
        "spec.duration",
        "spec.isCA",
        "spec.issuerRef",
        "spec.privateKey",
        "spec.renewBefore",
        "spec.secretName",
        "spec.subject",
        "spec.uris",
        "spec.usages",
    ),
    "Issuer": ("spec.ca", "spec.selfSigned"),
    "ExternalSecret": (
        "spec.dataFrom.extract.key",
        "spec.refreshInterval",
        "spec.secretStoreRef",
        "spec.target.creationPolicy",
        "spec.target.name",
    ),
    "Kafka": (
        "spec.kafka.config",
        "spec.kafka.listeners.name",
        "spec.kafka.listeners.networkPolicyPeers",
        "spec.kafka.listeners.port",
        "spec.kafka.listeners.tls",
        "spec.kafka.listeners.type",
        "spec.kafka.version",
    ),
    "KafkaNodePool": (
        "spec.jvmOptions",
        "spec.replicas",
        "spec.resources",
        "spec.roles",
        "spec.storage",
        "spec.template.kafkaContainer.securityContext",
        "spec.template.pod.securityContext",
        "spec.template.pod.topologySpreadConstraints",
    ),
}

#: What a validator needs of an OpenAPI v3 node; descriptions, defaults and CEL rules are left out.
KEYWORDS = ("type", "enum", "required", "pattern", "minimum", "maximum", "minLength", "maxLength")


def cut(node: dict[str, Any], path: str, kept: tuple[str, ...]) -> dict[str, Any]:
    """Return ``node`` reduced to the ``kept`` paths, with unknown fields refused at every level."""
    out: dict[str, Any] = {key: node[key] for key in KEYWORDS if key in node}
    if node.get("x-kubernetes-int-or-string"):
        out["type"] = ["integer", "string"]
    if "items" in node:
        out["items"] = cut(node["items"], path, kept)
    if "properties" in node:
        out["properties"] = {
            name: cut(child, below, kept)
            for name, child in node["properties"].items()
            if on_the_way(below := f"{path}.{name}".lstrip("."), kept)
        }
        out["additionalProperties"] = False
        if required := set(out.pop("required", ())) & set(out["properties"]):
            out["required"] = sorted(required)
    elif isinstance(node.get("additionalProperties"), dict):
        out["additionalProperties"] = cut(node["additionalProperties"], path, kept)
    return out


def on_the_way(path: str, kept: tuple[str, ...]) -> bool:
    """Tell whether ``path`` leads to a kept path or lies below one."""
    return any(f"{path}.".startswith(f"{k}.") or f"{k}.".startswith(f"{path}.") for k in kept)


def derive(crd: dict[str, Any]) -> None:
    """Write ``<Kind>.<group>.<version>.json`` for the served v1 of ``crd`` into this folder."""
    group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
    version = next(v for v in crd["spec"]["versions"] if v["name"] == "v1")
    schema = cut(version["schema"]["openAPIV3Schema"], "", ("apiVersion", "kind", *KEPT[kind]))
    schema["properties"] |= {
        "apiVersion": {"const": f"{group}/v1"},
        "kind": {"const": kind},
        "metadata": {"type": "object", "required": ["name"]},
    }
    schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
    save(f"{kind}.{group}.v1.json", schema)


def undescribed(node: Any) -> Any:
    """Return ``node`` of a JSON schema without its prose, a quarter of the size."""
    if isinstance(node, list):
        return [undescribed(item) for item in node]
    if not isinstance(node, dict):
        return node
    prose = ("description", "x-intellij-html-description")
    return {
        key: undescribed(value)
        for key, value in node.items()
        if not (key in prose and isinstance(value, str))
    }


def save(name: str, schema: object) -> None:
    """Write ``schema`` into this folder, the same bytes for the same schema."""
    text = json.dumps(schema, indent=1, sort_keys=True)
    (HERE / name).write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    for source in map(Path, sys.argv[1:]):
        content = source.read_text(encoding="utf-8")
        if source.suffix == ".json":
            save(f"skaffold.{source.name}", undescribed(json.loads(content)))
        else:
            for document in yaml.safe_load_all(content):
                derive(document)
