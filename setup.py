# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One tree for `colcon build` and for `pip install .`."""

import re
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = 'robocache_ros'
HERE = Path(__file__).resolve().parent
VERSION = re.search(
    r"^__version__ = '(.+)'$", (HERE / NAME / '__init__.py').read_text(), re.MULTILINE
).group(1)

# ROS 2 Kilted from the package index. These wheels pin their own dependencies to one release;
# the direct ones are pinned here, because an open range would mix two releases.
ROS = [
    'ros-rclpy==9.1.2',
    'ros-rmw-fastrtps-cpp==9.3.3',
    'ros-builtin-interfaces==2.3.0',
    'ros-diagnostic-msgs==5.5.1',
    'ros-geometry-msgs==5.5.1',
    'ros-nav-msgs==5.5.1',
    'ros-rcl-interfaces==2.3.0',
    'ros-rosgraph-msgs==2.3.0',
    'ros-sensor-msgs==5.5.1',
    'ros-std-msgs==5.5.1',
]

# What reads compressed images.
IMAGES = ['pillow>=9']

# What `robocache prometheus` needs.
METRICS = ['prometheus-client>=0.9']

setup(
    name=NAME,
    version=VERSION,
    description='Time-aligned voxel grids and fused features from robot sensors, for ROS 2.',
    long_description=(HERE / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='the robocache_ros authors',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={NAME: ['py.typed']},
    zip_safe=False,
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        (f'share/{NAME}/config', sorted(glob('config/*.*'))),
        (f'share/{NAME}/config/sros2', sorted(glob('config/sros2/*'))),
        (f'share/{NAME}/kernels', sorted(glob('kernels/*'))),
        (f'share/{NAME}/launch', sorted(glob('launch/*.launch.py'))),
        # What `ros2 run` finds. Not entry points: pip would put those names into bin/.
        (f'lib/{NAME}', sorted(glob('scripts/ros2run/*'))),
    ],
    install_requires=['numpy>=1.21', 'pyyaml'],
    extras_require={
        'ros': ROS,
        'images': IMAGES,
        'metrics': METRICS,
        'demo': [*IMAGES, 'rerun-sdk>=0.23'],
        'bench': [*IMAGES, 'kiss-icp', 'open3d', 'small-gicp', 'scipy'],
        'test': [
            *IMAGES,
            *METRICS,
            'pytest>=6.2,<8.4',  # 8.4 breaks launch_pytest, 9 launch_testing
            'coverage>=7.10',
            'hypothesis',
            'opencv-python-headless',  # an oracle of cameras and decoders
            'rosbags',
            'ruff>=0.17,<0.18',  # another one formats differently
            'scipy',
        ],
        # With the compiler of the kernels: beyond these only the driver has to be there.
        'cuda12': ['cupy-cuda12x>=13.6', 'nvidia-cuda-nvrtc-cu12'],
        'cuda13': ['cupy-cuda13x>=13.6', 'nvidia-cuda-nvrtc==13.*'],
        'torch': ['torch'],
    },
    entry_points={
        'console_scripts': [f'robocache = {NAME}.__main__:main'],
        # What a container of components for Python loads.
        'rclpy_components': [f'{NAME}::PreprocessorNode = {NAME}.node:PreprocessorNode'],
    },
)
