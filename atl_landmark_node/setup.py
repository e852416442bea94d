from setuptools import find_packages, setup

setup(
    name="atl_landmark_node",
    version="0.1.0",
    packages=find_packages(),
    package_data={"atl_landmark_node": ["data/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/atl_landmark_node"]),
        ("share/atl_landmark_node", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    entry_points={"console_scripts": ["node = atl_landmark_node.node:main"]},
    maintainer="ATL Avatar",
    maintainer_email="maintainers@atl-avatar.org",
    description="Sound to 68 landmarks, streaming.",
    license="Apache-2.0",
)
