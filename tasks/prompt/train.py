"""Nothing is trained here: what is measured of a prompt is measured where candidate code does not run."""

from pathlib import Path

here = Path(__file__).parent
for name in ("instructions.md", "prompt.md"):
    print(f"{name}: {len((here / name).read_text(encoding='utf-8'))} characters")
