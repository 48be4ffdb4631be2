"""Null edits: code that computes the same from another point of its random stream, and none where that is not sure."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from rsi.claims.null_edit import null_edit
from rsi.edits import CheckedEdit, check

TASKS = Path(__file__).parents[2] / "tasks"

STREAMS = """\
import random as rd
import numpy as np
from numpy.random import default_rng

def work(seed):
    rd.seed(seed)  # the standard library's
    np.random.seed(
        seed
    )
    g = default_rng(seed)
    own = rd.Random(seed)
    old: object = np.random.RandomState(seed)
    print(rd.random(), np.random.random(), g.random(), own.random(), old.random_sample())
    print("fixed", seed)
"""


def applied(code: dict[str, str], seed: int) -> str:
    edit = null_edit(code, seed)
    assert edit is not None
    checked = check(edit, code, tuple(code), 1 << 20)
    assert isinstance(checked, CheckedEdit)
    return checked.code["train.py"]


def printed(text: str, seed: int) -> list[str]:
    space: dict[str, object] = {}
    exec(text, space)
    with contextlib.redirect_stdout(io.StringIO()) as output:
        space["work"](seed)  # type: ignore[operator]
    return output.getvalue().split()


def test_every_stream_moves_and_nothing_else_changes() -> None:
    new = applied({"train.py": STREAMS}, 1)
    for seed in (0, 1, 2):
        before, after = printed(STREAMS, seed), printed(new, seed)
        assert before[5:] == after[5:]
        assert all(a != b for a, b in zip(before[:5], after[:5], strict=True))
        assert printed(new, seed) == after


def test_the_same_seed_gives_the_same_edit_and_others_give_others() -> None:
    edits = {applied({"train.py": STREAMS}, seed) for seed in range(12)}
    assert len(edits) > 4
    assert null_edit({"train.py": STREAMS}, 3) == null_edit({"train.py": STREAMS}, 3)


@pytest.mark.parametrize(
    ("task", "added"),
    [("charlm", [".rand(", "generator=generator)"]), ("digits", ["generator.random("])],
)
def test_the_shipped_tasks_have_a_place_for_it(task: str, added: list[str]) -> None:
    text = (TASKS / task / "train.py").read_text()
    new = applied({"train.py": text, "notes.txt": "random.seed(1)"}, 7)
    more = [line for line in new.splitlines() if line not in text.splitlines()]
    assert len(more) == len(added)
    assert all(part in line for part, line in zip(added, more, strict=True))


def test_lines_that_end_in_carriage_returns_and_files_without_a_last_newline_stay_as_they_are() -> None:
    text = "import random\r\nrandom.seed(1)"
    new = applied({"train.py": text}, 0)
    assert new.startswith(text + "\r\n")
    assert "random.getrandbits(" in new


@pytest.mark.parametrize(
    "text",
    [
        "x = 1\n",
        "import random\nif x: random.seed(1)\n",
        "import random\nrandom.seed(1); y = 2\n",
        "import random\nrandom = fake\nrandom.seed(1)\n",
        "import random\nrandom.random = len\nrandom.seed(1)\n",
        "import random\nfrom tricks import *\nrandom.seed(1)\n",
        "import random\nexec('random = 1')\nrandom.seed(1)\n",
        "import random\ndef f(random):\n    random.seed(1)\n",
        "from . import random\nrandom.seed(1)\n",
        "from torch import manual_seed\nmanual_seed(1)\n",
        "import torch\ng = torch.Generator(device='cuda').manual_seed(1)\n",
        "import torch\ng = torch.Generator(device='cuda')\n",
        "import numpy as np\nself.g = np.random.default_rng(1)\n",
        "g = default_rng(1)\n",
        "import random\nrandom.seed(1) \\\n\n  ;x=1\n",
        "this is no Python\n",
        "(" * 5000 + ")" * 5000,
    ],
    ids=lambda text: text[:40].replace("\n", "|"),
)
def test_there_is_none_where_it_is_not_sure_to_do_nothing(text: str) -> None:
    assert null_edit({"train.py": text}, 1) is None
