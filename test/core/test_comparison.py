# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A device is compared with NumPy before it computes anything that matters."""

from __future__ import annotations

import numpy as np
import pytest
from fake_cuda import Clock, FakeCuda, Opener

from robocache_ros.backends.comparison import same_bits
from robocache_ros.backends.cuda.device import OverLimit
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.backends.twin import TwinBackend
from robocache_ros.backends.workload import Workload
from robocache_ros.config import Config


class Wrong(FakeCuda):
    """Gives the last bit of an image wrong."""

    def image_grid(self, *args):
        values, left_out = self._numpy.image_grid(*args)
        values.view(np.uint32)[-1] += 1
        return values, left_out


def opened(cuda):
    workload = Workload.of(Config.from_mapping({}))
    backend = TwinBackend(NumpyBackend, Opener(cuda), workload, always=True, clock=Clock())
    backend._accelerator.wait()
    return backend


def test_each_operation_is_done_once_before_the_first_frame():
    cuda = FakeCuda()
    backend = opened(cuda)
    assert cuda.calls == ['voxelize', 'image_grid', 'resample']
    assert backend.status().counts == {}
    backend.close()


def test_a_device_that_gives_other_bits_is_not_used_and_the_operation_is_named():
    status = opened(Wrong()).status()
    assert status.name == 'numpy'
    assert 'image_grid gives other bits than on NumPy' in status.reason
    assert status.fix


def test_an_operation_that_the_device_never_takes_is_no_reason_against_the_others():
    class Narrow(FakeCuda):
        """Takes no clouds of so many fields, however few points they have."""

        def voxelize(self, *args):
            raise OverLimit('channels of 14 point fields, the device takes 13')

    cuda = Narrow()
    backend = opened(cuda)
    assert backend.status().name == 'cuda'
    assert cuda.calls == ['image_grid', 'resample']
    backend.close()


ONE = np.float32([1.0, 2.0])


@pytest.mark.parametrize(
    ('other', 'same'),
    [
        (np.float32([1.0, 2.0]), True),
        (np.float32([1.0, 2.0000002]), False),
        (np.float32([1.0, 2.0]).view(np.int32), False),
        (np.float32([[1.0, 2.0]]), False),
        (np.float32([1.0]), False),
    ],
)
def test_arrays_are_compared_by_type_shape_and_bits(other, same):
    assert same_bits(ONE, other) == same
    assert same_bits((ONE, 3), (other, 3)) == same
    assert same_bits({'x': ONE}, {'x': other}) == same
    assert not same_bits((ONE, 3), (other, 4))
    assert not same_bits({'x': ONE}, {'y': other})
    assert not same_bits((ONE,), (other, 3))


def test_zeros_of_different_sign_and_equal_nans_are_told_apart_by_their_bits():
    assert not same_bits(np.float32([0.0]), np.float32([-0.0]))
    assert same_bits(np.float32([np.nan]), np.float32([np.nan]))
