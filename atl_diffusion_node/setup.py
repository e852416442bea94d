from setuptools import find_packages, setup

setup(
    name="atl_diffusion_node",
    version="0.1.0",
    packages=find_packages(),
    package_data={"atl_diffusion_node": ["data/*", "data/*/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/atl_diffusion_node"]),
        ("share/atl_diffusion_node", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    entry_points={"console_scripts": ["node = atl_diffusion_node.node:main"]},
    maintainer="ATL Avatar",
    maintainer_email="maintainers@atl-avatar.org",
    description="Landmarks and one portrait to frames.",
    license="Apache-2.0",
)
