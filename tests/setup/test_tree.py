"""No file of the repository names a package registry or a folder of the machine it was written on."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# In pieces, so that this file does not hold them itself.
NEEDLES = [
    "".join(pieces).encode()
    for pieces in (
        ("pypi", ".org"),
        ("python", "hosted"),
        ("download.py", "torch"),
        ("registry-1", ".docker"),
        ("index.docker", ".io"),
        ("gh", "cr.io"),
        ("qu", "ay.io"),
        ("deb.deb", "ian.org"),
        ("archive.ub", "untu.com"),
        ("registry.npm", "js"),
        ("conda.ana", "conda.org"),
        ("hugging", "face.co"),
        ("/opt", "/wheels"),
        ("/opt", "/pypi"),
        ("/work", "/main"),
        ("/work", "/shared"),
    )
]


def repository_files() -> list[Path]:
    """What is tracked and what would be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_names_a_registry_or_this_machine() -> None:
    files = repository_files()
    assert len(files) > 20
    found = [
        f"{path.relative_to(ROOT)} holds {needle.decode()}"
        for path in files
        for content in [path.read_bytes()]
        for needle in NEEDLES
        if needle in content
    ]
    assert found == []
