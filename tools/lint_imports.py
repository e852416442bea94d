"""Checks the house's rules that ruff doesn't know: who may import whom, who may know ROS, how long a file may be.

Imports run one way: atl_face <- atl_node <- stages <- evaluation <- bring-up, training. A stage imports no other stage. Only
`node.py` and `convert.py` of a stage import ROS. Prints a line for each breach; the exit code is 1 if there is any.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("atl_audio_node", "atl_landmark_node", "atl_diffusion_node", "atl_display_node")
ALLOWED = {
    "atl_face": set(),
    "atl_node": {"atl_face"},
    **{stage: {"atl_face", "atl_node"} for stage in STAGES},
    "atl_evaluation": {"atl_face", "atl_node", *STAGES},
    "atl_bringup": {"atl_face", "atl_node", "atl_evaluation", *STAGES},
    "atl_training": {"atl_face", "atl_node", "atl_evaluation", *STAGES},
}
ROS = {
    *("rclpy", "launch", "launch_ros", "ament_index_python", "rosidl_runtime_py", "cv_bridge"),
    *("std_msgs", "sensor_msgs", "geometry_msgs", "diagnostic_msgs", "lifecycle_msgs", "rcl_interfaces"),
    *("std_srvs", "action_msgs", "builtin_interfaces", "atl_msgs"),
}
# atl_node is the ROS base; of the bring-up only these are nodes, or one's client.
KNOWS_ROS = {
    "atl_node": {"node.py", "run.py", "qos.py", "describe.py", "stamps.py"},
    "atl_bringup": {"lifecycle.py", "observe.py", "player.py", "recorder.py", "client.py", "say.py", "face.py", "interrupt.py"},
}
LINES, LINES_OF_NODE = 350, 200


def imports(tree: ast.Module) -> list[tuple[int, str]]:
    """(line, module) of every import, in functions too."""
    found = []
    for part in ast.walk(tree):
        if isinstance(part, ast.Import):
            found += [(part.lineno, name.name) for name in part.names]
        elif isinstance(part, ast.ImportFrom) and part.module:
            found.append((part.lineno, part.module))
    return found


def package_of(path: Path) -> str | None:
    """The package that a file belongs to: the outermost folder with an __init__.py."""
    folders = [f for f in path.parents if (f / "__init__.py").exists()]
    return folders[-1].name if folders else None


def problems(path: Path, text: str) -> list[str]:
    """What breaks the rules in one file."""
    package = package_of(path)
    limit = LINES_OF_NODE if path.name == "node.py" else LINES
    found = []
    lines = text.count("\n")
    if lines > limit:
        found.append(f"{lines} lines; {limit} at most: one idea a file")
    if package not in ALLOWED:
        return found
    knows_ros = path.name in KNOWS_ROS.get(package, {"node.py", "convert.py"})
    for line, module in imports(ast.parse(text, str(path))):
        top = module.split(".")[0]
        if top in ALLOWED and top != package and top not in ALLOWED[package]:
            found.append(f"line {line}: {package} may not import {top}")
        # The cores' Parameter declarations (atl_node.params) are free of ROS, the rest of atl_node isn't.
        ros_base = top == "atl_node" and package != "atl_node" and module != "atl_node.params"
        if (top in ROS or ros_base) and not knows_ros:
            found.append(f"line {line}: {module} is ROS, which only node.py and convert.py know")
    return found


def main() -> int:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    count = 0
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if not path.exists():
            continue
        for problem in problems(path, path.read_text()):
            print(f"{name}: {problem}")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
