from setuptools import find_packages, setup

setup(
    name="atl_face",
    version="0.1.0",
    packages=find_packages(),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/atl_face"]),
        ("share/atl_face", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    maintainer="ATL Avatar",
    maintainer_email="maintainers@atl-avatar.org",
    description="The shared vocabulary of ATL Avatar, free of ROS.",
    license="Apache-2.0",
)
