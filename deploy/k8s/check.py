"""Checks on paper what would be deployed: every overlay, skaffold.yaml and the Dockerfile.

Prints one line per problem and ends with code 1 if there is any. Without arguments it checks the
project; with `--overlay`, `--skaffold` or `--dockerfile` only what they name. What paper cannot show
(that a policy is enforced, that a pod starts) needs a cluster; README.md says what is left for it.
"""

import argparse
import functools
import importlib.resources
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

try:
    import jsonschema
    import yaml
    from referencing import Registry, Resource
except ModuleNotFoundError as missing:
    sys.exit(f"{missing.name} is not installed for this Python: run `make check-manifests`")

from reach import WORKLOADS, Manifest, arrow_problems, door_problems, title

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent.parent
SCHEMAS: Final = HERE / "schemas"

KUBERNETES: Final = ("1.34", "1.37")
"""The oldest and the newest Kubernetes whose schemas every manifest must satisfy."""

PROBES: Final = ("startupProbe", "readinessProbe", "livenessProbe")

LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader in C where PyYAML has it: it reads an overlay in a tenth of the time."""


class CannotCheck(Exception):
    """A tool is missing or cannot read its input; the message is what it said."""


def run(tool: str, *arguments: str) -> tuple[int, str]:
    """Run a tool that is installed beside this Python; returns its exit code and what it said."""
    path = Path(sys.executable).parent / tool
    if not path.exists():
        raise CannotCheck(f"{tool} is not installed beside {sys.executable}: run `make setup`")
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


# --- schemas --------------------------------------------------------------------------------------


@functools.cache
def definitions(version: str) -> Registry[Any]:
    """The parts that the schemas of one Kubernetes version share."""
    return Resource.from_contents(bundled(version, "_definitions")) @ Registry()


@functools.cache
def bundled(version: str, name: str) -> Any:
    """A strict schema from the package kubernetes-validate, or None if it has none of that name."""
    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    file = importlib.resources.files("kubernetes_validate").joinpath(f"{folder}/{name}.json")
    return json.loads(file.read_bytes()) if file.is_file() else None


@functools.cache
def own(name: str) -> jsonschema.Draft202012Validator | None:
    """The validator of a schema in `schemas/`, or None if there is none of that name."""
    path = SCHEMAS / f"{name}.json"
    if not path.exists():
        return None
    return jsonschema.Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


@functools.cache
def validators(api_version: str, kind: str) -> tuple[jsonschema.Draft202012Validator, ...]:
    """What a manifest of this kind must satisfy; empty if the kind is known to nobody here."""
    group, _, version = api_version.rpartition("/")
    if custom := own(f"{kind}.{group}.{version}"):
        return (custom,)
    name = f"{kind}-{group.split('.')[0]}-{version}" if group else f"{kind}-{version}"
    found = []
    for release in KUBERNETES:
        schema = bundled(release, name.lower())
        # The bundled names drop the group's domain: without this look a kind of a foreign group
        # with the same first word would pass for a core kind.
        if schema is None or api_version not in schema["properties"]["apiVersion"]["enum"]:
            return ()
        registry = Resource.from_contents(schema) @ definitions(release)
        found.append(jsonschema.Draft202012Validator(schema, registry=registry))
    return tuple(found)


def violations(validator: jsonschema.Draft202012Validator, document: Any) -> Iterator[str]:
    """What `document` breaks, as `path: message`, each at its deepest cause."""
    for error in validator.iter_errors(document):
        deepest = cause(error)
        path = ".".join(str(step) for step in deepest.absolute_path) or "(top)"
        yield f"{path}: {deepest.message}"


def cause(error: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """Where no alternative fits, the one that fitted furthest is the one that was meant."""
    causes = [cause(each) for each in error.context or ()]
    return max(causes, key=lambda each: len(each.absolute_path)) if causes else error


# --- manifests ------------------------------------------------------------------------------------


def render(overlay: Path) -> list[Manifest]:
    """What an overlay becomes; raises `CannotCheck` with kustomize's own words."""
    code, said = run("kubectl", "kustomize", str(overlay))
    if code:
        raise CannotCheck(said.replace(f"{ROOT}/", ""))
    return [document for document in yaml.load_all(said, LOADER) if document]


def against_schema(manifest: Manifest) -> Iterator[str]:
    """What the API server would refuse."""
    known = validators(manifest["apiVersion"], manifest["kind"])
    if not known:
        yield f"no schema for {manifest['apiVersion']} {manifest['kind']}: a typo, or add one"
    # Both Kubernetes versions mostly say the same; once is enough.
    yield from dict.fromkeys(line for each in known for line in violations(each, manifest))


def against_house_rules(manifest: Manifest, images: Mapping[str, str]) -> Iterator[str]:
    """What the API server would take and the house does not: who a pod runs as, and with what."""
    if manifest["kind"] not in WORKLOADS:
        return
    spec = manifest["spec"]["template"]["spec"]
    pod = spec.get("securityContext", {})
    if spec.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken must be false: nothing here talks to the API server"
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        name, own_context = container["name"], container.get("securityContext", {})
        context = pod | own_context
        user = context.get("runAsUser", 0)
        if context.get("runAsNonRoot") is not True or user == 0:
            yield f"container {name} may run as root: set runAsNonRoot and a runAsUser above 0"
        if own_context.get("readOnlyRootFilesystem") is not True:
            yield f"container {name} can write to its root: set readOnlyRootFilesystem: true"
        if own_context.get("allowPrivilegeEscalation") is not False:
            yield f"container {name} may gain privileges: set allowPrivilegeEscalation: false"
        if own_context.get("capabilities", {}).get("drop") != ["ALL"]:
            yield f"container {name} keeps capabilities: set capabilities.drop: [ALL]"
        if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"container {name} has no seccomp profile: set seccompProfile RuntimeDefault"
        yield from resource_problems(container)
        if manifest["kind"] == "Deployment":
            missing = [probe for probe in PROBES if "grpc" not in container.get(probe, {})]
            if missing:
                yield f"container {name} has no gRPC {', '.join(missing)}"
        yield from image_problems(container, images)


def resource_problems(container: Manifest) -> Iterator[str]:
    """A pod that does not say what it needs is the first to be evicted."""
    resources = container.get("resources", {})
    wanted = {"requests": ("cpu", "memory"), "limits": ("memory",)}
    for part, names in wanted.items():
        for name in names:
            if name not in resources.get(part, {}):
                yield f"container {container['name']} has no resources.{part}.{name}"


def image_problems(container: Manifest, images: Mapping[str, str]) -> Iterator[str]:
    """An image is one that skaffold builds and tags, or one with a tag that stays."""
    image = container["image"]
    tag = image.rpartition("/")[2].partition(":")[2]
    if image not in images and (not tag or tag == "latest"):
        yield f"image {image} is no artifact of skaffold.yaml and has no fixed tag"


def missing_references(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Names in pods that nothing of the same overlay brings: the pod would wait for ever."""
    there = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    for each in manifests:
        if each["kind"] == "Certificate":
            there.add(("Secret", each["spec"]["secretName"]))
        if each["kind"] == "ExternalSecret":
            there.add(("Secret", each["metadata"]["name"]))
    for each in manifests:
        if each["kind"] not in WORKLOADS:
            continue
        spec = each["spec"]["template"]["spec"]
        for kind, name in pod_references(spec):
            if (kind, name) not in there:
                yield f"{title(each)}: uses {kind} {name}, which nothing here creates"


def pod_references(spec: Manifest) -> Iterator[tuple[str, str]]:
    """Kind and name of what a pod needs to exist."""
    if account := spec.get("serviceAccountName"):
        yield "ServiceAccount", account
    for volume in spec.get("volumes", []):
        if secret := volume.get("secret"):
            yield "Secret", secret["secretName"]
        if config := volume.get("configMap"):
            yield "ConfigMap", config["name"]
    for container in spec["containers"]:
        for source in container.get("envFrom", []):
            if config := source.get("configMapRef"):
                yield "ConfigMap", config["name"]
        for variable in container.get("env", []):
            if secret := variable.get("valueFrom", {}).get("secretKeyRef"):
                yield "Secret", secret["name"]


# --- the whole ------------------------------------------------------------------------------------


def services() -> list[str]:
    """The services that the tree has."""
    return sorted(each.name for each in (ROOT / "services").iterdir() if (each / "src").is_dir())


def check_overlay(overlay: Path) -> Iterator[str]:
    """Everything about one overlay."""
    manifests = render(overlay)
    images = {artifact["image"]: "" for artifact in artifacts(ROOT / "skaffold.yaml")}
    sound = True
    for manifest in manifests:
        broken = list(against_schema(manifest))
        sound = sound and not broken
        # House rules read fields, so they want a manifest that has the right shape.
        for problem in broken or against_house_rules(manifest, images):
            yield f"{title(manifest)}: {problem}"
    there = {title(manifest) for manifest in manifests}
    for service in services():
        for kind in ("Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget"):
            if f"{kind}/{service}" not in there:
                yield f"services/{service} has no {kind} of its name"
    if sound:
        yield from missing_references(manifests)
        yield from arrow_problems(manifests)
        yield from door_problems(manifests)


def artifacts(path: Path) -> list[Manifest]:
    """What a skaffold file builds."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    found: list[Manifest] = config.get("build", {}).get("artifacts", [])
    return found


def check_skaffold(path: Path) -> Iterator[str]:
    """Skaffold's own schema, and an artifact for each service and nothing else."""
    validator = own("skaffold.v4beta13")
    if validator is None:
        raise CannotCheck("deploy/k8s/schemas/skaffold.v4beta13.json is missing")
    broken = list(violations(validator, yaml.safe_load(path.read_text(encoding="utf-8"))))
    if broken:
        yield from broken
        return
    built = {}
    for artifact in artifacts(path):
        docker = artifact.get("docker", {})
        service = docker.get("buildArgs", {}).get("SERVICE", "")
        built[service] = artifact["image"]
        if artifact["image"] != f"eldex-{service}":
            yield f"artifact {artifact['image']} builds SERVICE={service}: name it eldex-{service}"
        if docker.get("dockerfile") != "deploy/Dockerfile":
            yield f"artifact {artifact['image']} is not built by deploy/Dockerfile"
    for service in services():
        if service not in built:
            yield f"services/{service} has no artifact"
    for service in sorted(set(built) - set(services())):
        yield f"artifact {built[service]} has no folder services/{service}"


def check_dockerfile(path: Path) -> Iterator[str]:
    """What hadolint says, and a last user that Kubernetes can see is not root."""
    _, said = run("hadolint", "--no-color", "--format", "json", str(path))
    for finding in json.loads(said):
        yield f"line {finding['line']}: {finding['code']} {finding['message']}"
    lines = path.read_text(encoding="utf-8").splitlines()
    users = [line.split()[1] for line in lines if line.upper().startswith("USER ")]
    last = users[-1].partition(":")[0] if users else ""
    if not last.isdigit() or int(last) == 0:
        yield "the image must end as a numeric user other than 0: add USER 10001:10001"


def problems(
    overlays: Sequence[Path], skaffold: Sequence[Path], dockerfiles: Sequence[Path]
) -> Iterator[str]:
    """Every problem of the named files, each with where it is."""
    parts = [(check_overlay, overlays), (check_skaffold, skaffold), (check_dockerfile, dockerfiles)]
    for check, paths in parts:
        for path in paths:
            where = os.path.relpath(path, ROOT)
            try:
                for problem in check(path):
                    yield f"{where}: {problem}"
            except (CannotCheck, yaml.YAMLError, OSError) as error:
                yield f"{where}: {' '.join(str(error).split())}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check and tell; 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    for option in ("overlay", "skaffold", "dockerfile"):
        parser.add_argument(f"--{option}", type=Path, action="append", default=[], metavar="PATH")
    asked = parser.parse_args(arguments)
    overlays, skaffold, dockerfiles = asked.overlay, asked.skaffold, asked.dockerfile
    if not (overlays or skaffold or dockerfiles):
        overlays = sorted(path.parent for path in HERE.glob("overlays/*/kustomization.yaml"))
        skaffold, dockerfiles = [ROOT / "skaffold.yaml"], [ROOT / "deploy/Dockerfile"]
    found = list(problems(overlays, skaffold, dockerfiles))
    print(
        "\n".join(found)
        or f"manifests: {len(overlays)} overlays, skaffold and Dockerfile are sound"
    )
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
