"""Includes point down: python and tools -> models -> engine -> kernels, and within engine/ to the rooms that CMakeLists.txt names for each.

    python3 -m unittest discover -s tests/layering
"""
import pathlib
import re
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLOORS = ["kernels", "engine", "models", "tools", "python"]  # lowest first
SOURCES = {".h", ".cpp", ".cu", ".cuh"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)

# Who may include a library's headers: folders, or single files.
LIBRARIES = {
    # JSON is made and read at the edge, in these files.
    r"nlohmann/json\.hpp$": ["engine/io/json.cpp", "engine/io/fields.cpp", "engine/io/safetensors.cpp",
                             "engine/run/checkpoint_json.cpp", "engine/run/run_folder.cpp", "engine/run/test_reads.cpp", "engine/train/train_json.cpp",
                             "engine/measure/profile_json.cpp", "engine/prune/prune_json.cpp", "engine/prune/scores_file.cpp",
                             "engine/report/prune_report_json.cpp", "engine/report/train_report_json.cpp", "engine/report/page_json.cpp",
                             "tools/tools_json.cpp"],
    r"toml\+\+/": ["tools/toml.cpp"],
    r"nanobind/": ["python"],
    r"(google/protobuf|onnx)/": ["engine/onnx"],
    r"(turbojpeg\.h|stb/)": ["engine/data/decode"],
    r"xxhash\.h": ["engine/io"],
    r"(oneapi|dnnl)": ["kernels/onednn"],
    r"(cudnn|cublas)": ["kernels/cudnn"],
    r"(cuda|cuda_runtime|cuda_bf16|cudaTypedefs)\.h$": ["kernels/machine/gpu", "kernels/cudnn", "kernels/cuda/runtime", "kernels/nccl"],
    r"nccl\.h$": ["kernels/nccl"],
    r"mpi\.h$": ["kernels/mpi"],
    r"(sys/socket|netdb|netinet/.*|arpa/inet)\.h$": ["kernels/tcp"],
}


def rooms(root):
    """The rooms of engine/ by name, each with the rooms that it is linked to, directly or through others."""
    found = {}
    faults = []
    for room, rest in re.findall(r"^fp_room\((\w+)([^)]*)\)", (root / "CMakeLists.txt").read_text(), re.M):
        named = re.search(r"\bROOMS((?: \w+)*?)(?: LINK| FOLDERS|$)", rest)
        below = set()
        for other in named.group(1).split() if named else []:
            if other in found:
                below |= {other} | found[other]
            else:
                faults.append(f"CMakeLists.txt: room {room} is linked to {other}, which stands behind it or nowhere")
        found[room] = below
    return found, faults


def faults(root):
    linked, found = rooms(root)
    for file in sorted(f for floor in FLOORS for f in (root / floor).rglob("*") if f.suffix in SOURCES):
        path = file.relative_to(root)
        parts = path.parts
        room = parts[1] if parts[0] == "engine" else None
        if room is not None and (len(parts) < 3 or room not in linked):
            found.append(f"{path}: stands in no room of engine/")
            continue
        text = file.read_text()
        for quote, name in INCLUDE.findall(text):
            for pattern, homes in LIBRARIES.items():
                if quote == "<" and re.match(pattern, name) and not any(path.is_relative_to(home) for home in homes):
                    found.append(f"{path}: includes <{name}>, which only {', '.join(homes)} may know")
            if name.endswith(".cuh") and file.suffix not in (".cu", ".cuh") and not path.is_relative_to("kernels/machine") \
                    and not (file.suffix == ".h" and path.is_relative_to("kernels/cuda")):
                found.append(f"{path}: includes {name}, which only .cu files may")
            target = name.split("/")
            if quote == "<" or len(target) < 2:
                continue
            if target[0] in FLOORS and FLOORS.index(target[0]) > FLOORS.index(parts[0]):
                found.append(f"{path}: includes {name}, a floor up")
            elif target[0] == "engine" and room is not None and target[1] != room and target[1] not in linked[room]:
                found.append(f"{path}: includes {name}; {room} is not linked to {target[1]}")
            elif target[0] not in FLOORS:
                found.append(f"{path}: includes {name}, which the library does not hold")
        if re.search(r"\basm\b", text) and not path.is_relative_to("kernels/machine") and parts[0] == "kernels" and parts[1] == "cuda":
            found.append(f"{path}: has inline PTX, which stands in kernels/machine/gpu alone")
    return found


class Layering(unittest.TestCase):
    def test_this_tree(self):
        self.assertEqual(faults(ROOT), [])

    def planted(self, files, cmake="fp_room(core)\nfp_room(io)\nfp_room(data ROOMS core io LINK z)\n"):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "CMakeLists.txt").write_text(cmake)
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            return faults(root)

    def test_arrows_down_are_no_fault(self):
        self.assertEqual(self.planted({"tools/a.cpp": '#include "models/m.h"\n#include <vector>\n', "models/m.h": '#include "engine/core/t.h"\n',
                                       "engine/core/t.h": '#include "kernels/k.h"\n', "engine/data/d.cpp": '#include "engine/core/t.h"\n'}), [])

    def test_an_arrow_up_is_found(self):
        self.assertIn("a floor up", self.planted({"kernels/k.h": '#include "engine/core/t.h"\n'})[0])
        self.assertIn("a floor up", self.planted({"engine/core/t.h": '#include "models/m.h"\n'})[0])
        self.assertIn("core is not linked to data", self.planted({"engine/core/t.h": '#include "engine/data/d.h"\n'})[0])
        self.assertIn("io is not linked to core", self.planted({"engine/io/f.cpp": '#include "engine/core/t.h"\n'})[0])

    def test_a_circle_of_rooms_is_found(self):
        self.assertIn("stands behind it", self.planted({}, "fp_room(core ROOMS io)\nfp_room(io ROOMS core)\n")[0])

    def test_a_file_outside_the_rooms_is_found(self):
        self.assertIn("in no room", self.planted({"engine/loose.h": ""})[0])
        self.assertIn("in no room", self.planted({"engine/attic/loose.h": ""})[0])

    def test_a_library_in_the_wrong_room_is_found(self):
        self.assertIn("may know", self.planted({"engine/data/d.cpp": "#include <toml++/toml.h>\n"})[0])
        self.assertIn("may know", self.planted({"engine/data/d.cpp": "#include <onnx/onnx_pb.h>\n"})[0])

    def test_inline_ptx_outside_the_machine_is_found(self):
        self.assertIn("inline PTX", self.planted({"kernels/cuda/conv/c.cu": 'asm volatile("");\n'})[0])


if __name__ == "__main__":
    unittest.main()
