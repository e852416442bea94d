from setuptools import find_packages, setup

setup(
    name="atl_node",
    version="0.1.0",
    packages=find_packages(),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/atl_node"]),
        ("share/atl_node", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    maintainer="ATL Avatar",
    maintainer_email="maintainers@atl-avatar.org",
    description="What ATL Avatar's lifecycle nodes share.",
    license="Apache-2.0",
)
