"""The commands about sandboxes: `rsi image …` and `rsi sandbox prune`. Heavy imports happen inside them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsi.flags import AsJson
from rsi.output import console, print_json, say

image_app = typer.Typer(no_args_is_help=True, help="Build, show, carry and remove the sandbox image.")
sandbox_app = typer.Typer(no_args_is_help=True, help="Look after what sandboxes leave at the engine.")


@image_app.command("build")
def image_build(
    force: Annotated[bool, typer.Option("--force", help="Even where it is there.")] = False,
    task: Annotated[str, typer.Option(help="Also the image with the packages that this task asks for.")] = "",
) -> None:
    """Build the image that sandboxes run, from a registry's Python image or from Debian's packages."""
    from sandboxes.image import build, digest
    from sandboxes.image.extras import ensure_extras

    asked = _asked_packages(task)
    found = build(force=force, say=say)
    print(digest(ensure_extras(*asked, say)) if any(asked) else found)


def _asked_packages(task: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The Python and Debian packages that a task asks for; none without a task."""
    from rsi.task import load_task

    if not task:
        return (), ()
    section = load_task(task).spec.image
    return section.python, section.debian


@image_app.command("show")
def image_show(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="A tag or digest; by default the wanted one.")] = "",
    task: Annotated[str, typer.Option(help="The image of this task.")] = "",
    as_json: AsJson = False,
) -> None:
    """Tell what is in an image: every Debian and Python package with its version, and what it was made from."""
    from rsi.sanitize import for_terminal
    from sandboxes.image import extras_tag
    from sandboxes.image.show import details, lines

    found = details(name or extras_tag(*_asked_packages(task)))
    if as_json:
        print(found.model_dump_json(indent=2, by_alias=True))
        return
    for line in lines(found):
        print(for_terminal(line))


@image_app.command("save")
def image_save(
    file: Annotated[Path, typer.Argument(help="Where to write it; must not be there yet.")],
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="A tag; by default the wanted one.")] = "",
    task: Annotated[str, typer.Option(help="The image of this task.")] = "",
    as_json: AsJson = False,
) -> None:
    """Write an image to a file, for a machine without a registry or internet; remember the digest that is printed."""
    from sandboxes.image import extras_tag
    from sandboxes.image.transport import save

    saved = save(name or extras_tag(*_asked_packages(task)), file, say)
    if as_json:
        print_json({"schema": 1, "file": str(file), **saved.model_dump(mode="json", by_alias=True)})
        return
    print(f"{file}: {saved.tag}, {saved.bytes / 2**20:.0f} MiB, sha256 {saved.sha256}")
    print(f"On the other machine: rsi image load {file.name} --digest {saved.digest}")


@image_app.command("load")
def image_load(
    file: Annotated[Path, typer.Argument(help="What `rsi image save` wrote.")],
    digest: Annotated[str, typer.Option(help="What `rsi image save` printed, brought by another way.")] = "",
    as_json: AsJson = False,
) -> None:
    """Check a file against the image's digest, then have the engine load it; nothing else in it is loaded."""
    from sandboxes.image import wanted_tag
    from sandboxes.image.transport import load

    loaded = load(file, digest, say)
    if loaded.tag != wanted_tag() and loaded.manifest.parent != wanted_tag():
        say(f"This version of rsi runs {wanted_tag()}; set RSI_IMAGE={loaded.tag} to use the loaded one.")
    if as_json:
        print_json({"schema": 1, "file": str(file), **loaded.model_dump(mode="json", by_alias=True)})
        return
    print(f"{loaded.tag} {loaded.digest}")


@image_app.command("list")
def image_list(as_json: AsJson = False) -> None:
    """List the sandbox images on this engine."""
    from sandboxes.image import list_images

    images = list_images()
    if as_json:
        print_json({"schema": 1, "images": [image.model_dump(mode="json") for image in images]})
        return
    for image in images:
        print(f"{image.tag:32} {image.bytes / 2**20:7.0f} MiB  {image.digest}  {'in use' if image.wanted else ''}")


@image_app.command("remove")
def image_remove(tag: str) -> None:
    """Remove a sandbox image."""
    from sandboxes.image import remove

    remove(tag)


# --- what sandboxes leave -------------------------------------------------------------------------------------------


@sandbox_app.command("prune")
def sandbox_prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove containers, volumes and folders of killed runs; what a living run uses stays, and images do."""
    from sandboxes import prune

    report = prune.prune(dry_run=dry_run)
    if as_json:
        print_json(prune.as_json(report))
    else:
        prune.render(report, console())
    raise typer.Exit(3 if report.failed else 0)
