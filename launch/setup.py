from glob import glob

from setuptools import find_packages, setup

setup(
    name="atl_bringup",
    version="0.1.0",
    packages=find_packages(include=["atl_bringup", "atl_bringup.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/atl_bringup"]),
        ("share/atl_bringup", ["package.xml"]),
        ("share/atl_bringup/launch", glob("launch/*.launch.py")),
        ("share/atl_bringup/config", glob("config/*")),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    entry_points={
        "console_scripts": [
            "atl = atl_bringup.cli:main",
            "lifecycle_manager = atl_bringup.lifecycle:main",
        ]
    },
    maintainer="ATL Avatar",
    maintainer_email="maintainers@atl-avatar.org",
    description="Starts ATL Avatar.",
    license="Apache-2.0",
)
