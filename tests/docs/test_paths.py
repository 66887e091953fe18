"""Every path that the documentation, a comment or a script names exists, and every link of a page leads somewhere.

    python3 -m unittest discover -s tests/docs
"""
import pathlib
import re
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("bench", "cmake", "docs", "engine", "kernels", "models", "python", "recipes", "tests", "tools")
# A path from the root of the repository; *, <name> and NAME stand for any name.
PATH = re.compile(rf"(?<![\w./$}}-])(?:{'|'.join(FOLDERS)})/(?:[\w./*-]|<\w+>)*(?:[\w*]|<\w+>)")
ANY = re.compile(r"\*|<\w+>|(?<![A-Za-z])[A-Z]{2,}(?![A-Za-z])")
# A source file in a page, behind some of its folders or none.
NAME = re.compile(r"`((?:[\w-]+/)*[\w-]+\.(?:h|cpp|cu|cuh|py|js|svg))`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```", re.S)
# Recordings of earlier versions, and planted faults.
UNREAD = ("bench/results/", "tests/docs/", "tests/layering/")


def anchors(page):
    """Those of a page's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.*)$", CODE.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def faults(root):
    files = [f for folder in FOLDERS for f in (root / folder).rglob("*") if f.is_file() and f.suffix != ".pyc"] + [f for f in root.glob("*.*") if f.is_file()]
    paths = [f.relative_to(root) for f in files]
    known = {str(p) for path in paths for p in (path, *path.parents)}
    ends = {"/".join(path.parts[i:]) for path in paths for i in range(len(path.parts))}

    def is_there(name):
        if name in known:
            return True
        pattern = "[^/]*".join(map(re.escape, ANY.split(name)))
        return bool(ANY.search(name)) and any(re.fullmatch(pattern, path) for path in known)

    found = []
    for file, path in sorted(zip(files, map(str, paths))):
        if path.startswith(UNREAD) or file.suffix == ".csv":
            continue
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{path}: {name}: there is no such path" for name in sorted(set(PATH.findall(text))) if not is_there(name)]
        if file.suffix != ".md":
            continue
        found += [f"{path}: {name}: there is no such file" for name in NAME.findall(text) if name not in ends]
        for link in LINK.findall(CODE.sub("", text)):
            target, _, anchor = link.partition("#")
            page = file.parent / target if target else file
            if "://" not in link and (not page.exists() or anchor and anchor not in anchors(page)):
                found.append(f"{path}: {link}: leads nowhere")
    return found


class Paths(unittest.TestCase):
    def test_this_tree(self):
        self.assertEqual(faults(ROOT), [])

    def planted(self, text, name="docs/page.md"):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for file, content in {"engine/core/tape.h": "", "tools/fp_train.cpp": "", "docs/other.md": "# One more\n", name: text}.items():
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (root / file).write_text(content)
            return faults(root)

    def test_what_exists_is_no_fault(self):
        self.assertEqual(self.planted("`tape.h`, `core/tape.h`, engine/core, `tools/fp_*.cpp`, engine/<room>/tape.h, engine/ROOM/tape.h, "
                                      "build/bin/fp_train, [more](other.md#one-more)\n"), [])

    def test_what_does_not_exist_is_named(self):
        for text in ("engine/core/tap.h", "engine/<room>/tap.h", "`tap.h`", "[more](another.md)", "[more](other.md#two)", "[more](#one)"):
            self.assertEqual(len(self.planted(text)), 1, text)
        self.assertIn("engine/core/tap.h", self.planted("// as in engine/core/tap.h\n", "engine/core/ops.cpp")[0])


if __name__ == "__main__":
    unittest.main()
