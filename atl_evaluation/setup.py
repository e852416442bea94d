from setuptools import find_packages, setup

setup(
    name="atl_evaluation",
    version="0.1.0",
    packages=find_packages(),
    package_data={"atl_evaluation": ["data/*", "templates/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/atl_evaluation"]),
        ("share/atl_evaluation", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    maintainer="ATL Avatar",
    maintainer_email="maintainers@atl-avatar.org",
    description="Judges a talking face.",
    license="Apache-2.0",
)
