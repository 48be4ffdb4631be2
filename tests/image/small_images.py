"""Images of a few bytes, and packages made up on the spot, so that no test needs a network."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sandboxes import image
from sandboxes.image import archive, bundle
from sandboxes.image.manifest import Manifest

TAG = "rsi-extras:7e577e577e57"


def manifest(tag: str = TAG) -> Manifest:
    return Manifest(tag=tag, base="debian", source_date=bundle.SOURCE_DATE)


def write_bundle(path: Path, files: Mapping[str, bytes], tag: str = TAG, **changes: Any) -> str:
    """A file as `rsi image save` writes it, with one layer of these files; the image's digest."""
    scratch = path.parent / f"{path.name}-scratch"
    scratch.mkdir()
    found = [archive.of_bytes(name, content)._replace(mode=0o755) for name, content in files.items()]
    layer = bundle.make_layer(found, scratch)
    settings = bundle.configuration([layer], manifest(tag))
    if changes:
        settings = json.dumps({**json.loads(settings), **changes}).encode()
    archive.write_hashed(path, bundle.entries(tag, settings, [layer]))
    return f"sha256:{hashlib.sha256(settings).hexdigest()}"


@contextmanager
def loaded(path: Path, tag: str = TAG) -> Iterator[None]:
    """The bundle in the engine, for a while."""
    with closing(image.connect(60)) as client:
        list(client.images.load(path.read_bytes()))
        try:
            yield
        finally:
            client.images.remove(tag, force=True)


def write_wheel(folder: Path, name: str, files: Mapping[str, bytes], needs: tuple[str, ...] = ()) -> None:
    """A wheel of version 1.0 that holds these files."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-1.0.dist-info"
    metadata = "".join(
        [f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", *(f"Requires-Dist: {need}\n" for need in needs)]
    )
    whole = {
        **files,
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*whole, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        for path, content in {**whole, f"{info}/RECORD": record.encode()}.items():
            wheel.writestr(path, content)


def _tar(files: Mapping[str, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return data.getvalue()


def _deb(name: str, files: Mapping[str, bytes], depends: str) -> tuple[bytes, str]:
    """A Debian package of version 1-1 whose installation script would leave a mark, and its control fields."""
    control = f"Package: {name}\nVersion: 1-1\nArchitecture: amd64\nMaintainer: test\nDescription: test\n"
    control += f"Depends: {depends}\n" if depends else ""
    scripts = {"control": control.encode(), "postinst": b"#!/bin/sh\ntouch /etc/was-here\n"}
    parts = {"debian-binary": b"2.0\n", "control.tar": _tar(scripts), "data.tar": _tar(files)}
    whole = b"!<arch>\n"
    for part, content in parts.items():
        header = f"{part:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
        whole += header.encode() + content + b"\n" * (len(content) % 2)
    return whole, control


def write_debian_mirror(folder: Path, packages: Mapping[str, tuple[Mapping[str, bytes], str]]) -> None:
    """A mirror of `bookworm` with these packages: name → files and dependencies."""
    lists = folder / "dists" / "bookworm" / "main" / "binary-amd64"
    lists.mkdir(parents=True)
    index = ""
    for name, (files, depends) in packages.items():
        whole, control = _deb(name, files, depends)
        (folder / f"{name}.deb").write_bytes(whole)
        index += f"{control}Filename: {name}.deb\nSize: {len(whole)}\nSHA256: {hashlib.sha256(whole).hexdigest()}\n\n"
    contents = {"Packages": index.encode(), "Packages.gz": gzip.compress(index.encode(), mtime=0)}
    release = "Suite: bookworm\nCodename: bookworm\nComponents: main\nArchitectures: amd64\nSHA256:\n"
    for name, content in contents.items():
        (lists / name).write_bytes(content)
        release += f" {hashlib.sha256(content).hexdigest()} {len(content)} main/binary-amd64/{name}\n"
    (folder / "dists" / "bookworm" / "Release").write_text(release)
