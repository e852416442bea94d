"""Where figures come from: the machine, the code, the networks. What two runs must share before they are compared."""
import hashlib
import os
import platform
import subprocess
from importlib import metadata, resources
from pathlib import Path
from xml.etree import ElementTree

WITH_NETWORKS = ("atl_landmark_node", "atl_diffusion_node", "atl_evaluation")
NETWORKS = (".onnx", ".safetensors", ".npz", ".npy")  # weights, and the arrays that belong to them


def host() -> dict[str, object]:
    """The machine and how busy it is now: processor, cores, memory_gb (GiB), system, isa, python, load_before."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"processor": name, "cores": os.cpu_count(), "memory_gb": round(memory / 2**30, 1),
            "system": f"{_distribution()}, {platform.system()} {platform.release()}, {platform.machine()}",
            "isa": os.environ.get("ONEDNN_MAX_CPU_ISA", "native"), "python": platform.python_version(),
            "load_before": round(os.getloadavg()[0], 2)}  # fmt: skip


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "unknown distribution"


def code() -> dict[str, str | None]:
    """Version of this package, and the git commit of the checkout that it runs from ("-dirty" behind it where files were
    changed since), None outside one."""
    return {"version": _version(), "commit": _commit(Path(__file__).resolve().with_name("__init__.py"))}


def _version() -> str:
    try:
        return metadata.version("atl_evaluation")
    except metadata.PackageNotFoundError:  # run from its sources
        package = ElementTree.parse(Path(__file__).resolve().parents[1] / "package.xml")
        return package.findtext("version", "unknown")


def _commit(file: Path) -> str | None:
    """The commit of the checkout that tracks this file; a repository around it that merely holds a copy has no say."""
    git = ["git", "--no-optional-locks", "-C", str(file.parent)]  # an evaluation holds up nobody's commit
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", file.name], check=True, capture_output=True, timeout=10)
        status = subprocess.run([*git, "status", "--porcelain=v2", "--branch", "--untracked-files=no"], check=True,
                                capture_output=True, text=True, timeout=60).stdout.splitlines()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    commit = next((line.split()[-1] for line in status if line.startswith("# branch.oid ")), None)
    return commit and commit + ("-dirty" if any(not line.startswith("#") for line in status) else "")


def models() -> dict[str, str]:
    """SHA-256 (hex) of every network file that is shipped in the stages' data folders, by "package/path in it"."""
    found = {}
    for package in WITH_NETWORKS:
        folder = Path(str(resources.files(package) / "data"))
        found |= {f"{package}/{file.relative_to(folder).as_posix()}": sha256_of(file)
                  for file in sorted(folder.rglob("*")) if file.suffix in NETWORKS}  # fmt: skip
    return found


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file, read piece by piece: a bag may be larger than the memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
