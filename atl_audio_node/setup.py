from setuptools import find_packages, setup

setup(
    name="atl_audio_node",
    version="0.1.0",
    packages=find_packages(),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/atl_audio_node"]),
        ("share/atl_audio_node", ["package.xml"]),
    ],
    package_data={"atl_audio_node": ["data/*"]},
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    entry_points={"console_scripts": ["node = atl_audio_node.node:main"]},
    maintainer="ATL Avatar",
    maintainer_email="maintainers@atl-avatar.org",
    description="Sound into the graph: one paced 16 kHz stream.",
    license="Apache-2.0",
)
