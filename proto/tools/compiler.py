"""protoc with the versions that requirements/ pins: generated Python, and the descriptor image of the contract.

protovalidate ships its rules only as a descriptor, so `buf/validate/validate.proto` is recovered from there;
the google/api, google/rpc and google/type files come with googleapis-common-protos. Nothing is downloaded.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf import descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2

# The module is private to protovalidate, hence the pin on its version and the test that asks for a rule of it.
from protovalidate._gen.buf.validate import validate_pb

from tools.layout import ContractError, Layout

VALIDATE = "buf/validate/validate.proto"
GENERATORS = (
    "grpcio-tools",
    "mypy-protobuf",
    "protovalidate",
    "googleapis-common-protos",
    "buf-bin",
)
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def check_generators(requirements: Iterable[Path]) -> None:
    """Refuses to generate with other versions than the pinned ones: the bytes would differ from what is committed."""
    pins = {
        name.lower(): pin
        for path in requirements
        for name, pin in _PIN.findall(path.read_text("utf-8"))
    }
    findings = []
    for name in GENERATORS:
        try:
            installed = version(name)
        except PackageNotFoundError:
            installed = "nothing"
        wanted = pins.get(name)
        if wanted is not None and installed != wanted:
            findings.append(
                f"{name}: {installed} is installed, {wanted} is pinned; run `make setup`"
            )
    if findings:
        raise ContractError(*findings)


def validate_dependencies() -> descriptor_pb2.FileDescriptorSet:
    """The descriptors that protoc needs to compile a file that imports buf/validate/validate.proto."""
    files = descriptor_pb2.FileDescriptorSet()
    for module in (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2):
        module.DESCRIPTOR.CopyToProto(files.file.add())
    files.file.add().ParseFromString(validate_pb._DESC.proto.to_binary())
    return files


def generate_python(layout: Layout, out: Path) -> None:
    """Writes `*_pb2.py`, `*_pb2.pyi`, `*_pb2_grpc.py` and `*_pb2_grpc.pyi` of the whole contract below `out`."""
    bin_dir = Path(sys.executable).parent
    plugins = [
        f"--plugin={name}={bin_dir / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
    ]
    outs = [f"--{kind}_out={out}" for kind in ("python", "mypy")]
    grpc_outs = [f"--{kind}_out={out}" for kind in ("grpc_python", "mypy_grpc")]
    files = layout.proto_files()
    _protoc(layout, [*plugins, *outs], [VALIDATE, *files])
    services = [
        name
        for name in files
        if re.search(r"^service\s", (layout.root / name).read_text("utf-8"), re.MULTILINE)
    ]
    if services:
        _protoc(layout, [*plugins, *grpc_outs], services)


def generate_go(
    layout: Layout, image: descriptor_pb2.FileDescriptorSet, out: Path, module: str, plugins: Path
) -> None:
    """Writes the contract, with what it imports, as the packages of one Go module below `out`.

    The files name no Go package: a package is the folder of its files. `plugins` holds protoc-gen-go and
    protoc-gen-go-grpc.
    """
    files = [each.name for each in image.file if not each.name.startswith("google/protobuf/")]
    options = []
    for plugin in ("go", "go-grpc"):
        options += [f"--plugin=protoc-gen-{plugin}={plugins}/protoc-gen-{plugin}"]
        options += [f"--{plugin}_out={out}", f"--{plugin}_opt=module={module}"]
        options += [f"--{plugin}_opt=M{name}={module}/{Path(name).parent}" for name in files]
    _protoc(layout, options, files)


def compile_image(layout: Layout) -> descriptor_pb2.FileDescriptorSet:
    """The contract with everything it imports and all its comments, as one descriptor set."""
    with TemporaryDirectory(prefix="eldex-contract-") as folder:
        image = Path(folder) / "image.binpb"
        options = [f"--descriptor_set_out={image}", "--include_imports", "--include_source_info"]
        _protoc(layout, options, [VALIDATE, *layout.proto_files()])
        return descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes())


def _protoc(layout: Layout, options: Sequence[str], files: Sequence[str]) -> None:
    with TemporaryDirectory(prefix="eldex-protoc-") as folder:
        dependencies = Path(folder) / "dependencies.binpb"
        dependencies.write_bytes(validate_dependencies().SerializeToString())
        result = subprocess.run(
            [
                sys.executable,
                "-m",
                "grpc_tools.protoc",
                f"--descriptor_set_in={dependencies}",
                f"-I{layout.root}",
                f"-I{_google_protos()}",
                *options,
                *files,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    if result.returncode != 0:
        lines = (result.stderr or result.stdout).strip().splitlines()
        raise ContractError(*(lines or [f"protoc ended with {result.returncode} and said nothing"]))


def _google_protos() -> Path:
    """The folder in which googleapis-common-protos keeps google/api, google/rpc and google/type as text."""
    spec = find_spec("google.type.date_pb2")
    if spec is None or spec.origin is None:
        raise ContractError("googleapis-common-protos is not installed; run `make setup`")
    return Path(spec.origin).resolve().parents[2]
