from setuptools import find_packages, setup

setup(
    name="atl_display_node",
    version="0.1.0",
    packages=find_packages(),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/atl_display_node"]),
        ("share/atl_display_node", ["package.xml"]),
    ],
    package_data={"atl_display_node": ["static/*"]},
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    entry_points={"console_scripts": ["node = atl_display_node.node:main"]},
    maintainer="ATL Avatar",
    maintainer_email="maintainers@atl-avatar.org",
    description="The face on a page, in a window or in a clip, in step with its sound.",
    license="Apache-2.0",
)
