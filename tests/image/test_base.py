"""What of a base may lie in the image: nothing of the machine or the day it was made on, and no task's text."""

import io
import tarfile

import pytest

from rsi.errors import EnvironmentFault
from sandboxes.image import archive, base

OUT = [
    "etc/hostname",
    "etc/resolv.conf",
    "etc/machine-id",
    "etc/shadow",
    "etc/passwd-",
    "var/log/dpkg.log",
    "var/cache/ldconfig/aux-cache",
    "var/lib/apt/lists/x",
    "var/lib/dpkg/status-old",
    "dev/null",
    "tmp/x",
    "root/.bashrc",
    "usr/share/doc/bash/copyright",
    "usr/lib/python3.11/pydoc_data",
    "usr/lib/python3.11/pydoc_data/topics.py",
    "usr/local/lib/python3.11/pydoc_data/topics.py",
    "usr/lib/python3.11/__pycache__/os.cpython-311.pyc",
    "usr/lib/python3.11/test/x.py",
    "usr/lib/python3/dist-packages/x.py",
    "usr/local/lib/python3.11/site-packages/pip/__init__.py",
    "usr/local/bin/pip3.11",
]
IN = [
    "etc/passwd",
    "etc/os-release",
    "etc/ld.so.cache",
    "dev",
    "tmp",
    "var/log",
    "var/lib/dpkg/status",
    "usr/bin/python3.11",
    "usr/local/bin/python3",
    "usr/lib/python3.11/os.py",
    "usr/lib/python3.11/pydoc.py",
    "usr/lib/python3.11/testing.py",
    "usr/lib/python3.11/unittest/test_x.py",
    "usr/local/lib/python3.11/site-packages",
]


@pytest.mark.parametrize("name", OUT)
def test_these_stay_out(name: str) -> None:
    assert not base.wanted(name)


@pytest.mark.parametrize("name", IN)
def test_these_stay_in(name: str) -> None:
    assert base.wanted(name)


def exported(files: dict[str, bytes]) -> tarfile.TarFile:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    data.seek(0)
    return tarfile.open(fileobj=data)


def test_a_registrys_image_is_taken_in_by_the_same_rules() -> None:
    status = b"Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n"
    with exported({"var/lib/dpkg/status": status, "usr/bin/x": b"x", "etc/hostname": b"host"}) as tar:
        made = base._base("registry", archive.of_archive(tar))
        assert {entry.name for entry in made.entries} == {"var/lib/dpkg/status", "usr/bin/x"}
        assert [package.name for package in made.debian] == ["libc6"]
    with exported({"usr/bin/x": b"x"}) as tar, pytest.raises(EnvironmentFault, match="so it is no Debian"):
        base._base("registry", archive.of_archive(tar))
