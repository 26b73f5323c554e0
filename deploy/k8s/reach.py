"""Who reaches whom in a rendered overlay: what ELDEX_PEERS, Services and network policies say of it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

GRPC_PORT: Final = 50051
WORKLOADS: Final = ("Deployment", "StatefulSet", "Job")

Manifest = dict[str, Any]


def title(manifest: Manifest) -> str:
    """`Deployment/registry`."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def chosen(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a pod selector takes a pod; the house's selectors know only matchLabels."""
    wanted = (selector or {}).get("matchLabels", {})
    return all(labels.get(key) == value for key, value in wanted.items())


def one_way(
    policies: Iterable[Manifest], direction: str, pod: Mapping[str, str], peer: Mapping[str, str]
) -> bool:
    """Whether the policies of `pod` let gRPC pass between it and `peer` in one direction."""
    side = "from" if direction == "Ingress" else "to"
    isolated = False
    for policy in policies:
        spec = policy["spec"]
        if direction not in spec.get("policyTypes", ()) or not chosen(spec["podSelector"], pod):
            continue
        isolated = True
        for rule in spec.get(direction.lower(), []):
            ports = rule.get("ports")
            if ports and not any(each.get("port") == GRPC_PORT for each in ports):
                continue
            peers = rule.get(side)
            if not peers or any(
                "podSelector" in each
                and "namespaceSelector" not in each
                and chosen(each["podSelector"], peer)
                for each in peers
            ):
                return True
    return not isolated


def arrow_problems(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Where the network policies and ELDEX_PEERS disagree about who calls whom."""
    policies = [each for each in manifests if each["kind"] == "NetworkPolicy"]
    deployments = [each for each in manifests if each["kind"] == "Deployment"]
    labels = {
        d["metadata"]["name"]: d["spec"]["template"]["metadata"]["labels"] for d in deployments
    }
    for deployment in deployments:
        caller = deployment["metadata"]["name"]
        peers = set(peers_of(deployment))
        for stranger in sorted(peers - set(labels)):
            yield f"Deployment/{caller}: ELDEX_PEERS names {stranger}, which is no Deployment"
        here = labels[caller]
        for callee, there in labels.items():
            if callee == caller:
                continue
            out = one_way(policies, "Egress", here, there)
            lets = out and one_way(policies, "Ingress", there, here)
            if callee in peers and not lets:
                yield f"Deployment/{caller}: calls {callee} (ELDEX_PEERS), no NetworkPolicy lets it"
            if callee not in peers and lets:
                yield f"Deployment/{caller}: NetworkPolicy lets it call {callee}, ELDEX_PEERS has no such peer"


def door_problems(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Ports of Services behind which no container has one, or that no NetworkPolicy opens to anybody."""
    policies = [each["spec"] for each in manifests if each["kind"] == "NetworkPolicy"]
    pods = [each["spec"]["template"] for each in manifests if each["kind"] in WORKLOADS]
    for service in (each for each in manifests if each["kind"] == "Service"):
        for pod in pods:
            labels = pod["metadata"]["labels"]
            if not chosen({"matchLabels": service["spec"]["selector"]}, labels):
                continue
            ports = [each for one in pod["spec"]["containers"] for each in one.get("ports", [])]
            numbers = {each.get("name"): each["containerPort"] for each in ports}
            opened = {
                port["port"]
                for policy in policies
                if chosen(policy["podSelector"], labels)
                for rule in policy.get("ingress", [])
                for port in rule.get("ports", [])
            }
            # Two ports of a Service may lead to one of the pod.
            for target in dict.fromkeys(
                each.get("targetPort", each["port"]) for each in service["spec"]["ports"]
            ):
                number = numbers.get(target, target)
                if number not in numbers.values():
                    yield f"{title(service)}: leads to port {target}, which no container has"
                elif number not in opened:
                    yield f"{title(service)}: leads to port {number}, which no NetworkPolicy opens"


def peers_of(deployment: Manifest) -> list[str]:
    """The services that a Deployment is told to call."""
    for variable in deployment["spec"]["template"]["spec"]["containers"][0].get("env", []):
        if variable["name"] == "ELDEX_PEERS":
            return list(json.loads(variable["value"]))
    return []
