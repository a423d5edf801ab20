# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages that are nearly right: good ones, and everything that can be wrong with one of them."""

from __future__ import annotations

import random

from codec_messages import INF, NAN, XYZ_FIELDS, XYZI_FIELDS, but, cloud, field, image

from robocache_ros.codec.image import ENCODINGS

SMALL = (0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 24, 32, 48, 64, 96, 100)
LARGE = (255, 4096, 65535, 65536, 2**27, 2**28, 2**31 - 1, 2**31, 2**32 - 16, 2**32 - 1)
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e38, 2.0**125, 2.0**126, 1e300, NAN, INF, -INF)
NAMES = ('x', 'y', 'z', 'intensity', '', 'X', 'ring', 'ß', 'x' * 300)
ENCODING_NAMES = (*ENCODINGS, '', 'RGB8', 'nv12', '8UC3')

POINTS = [(float(k), -0.0, NAN, 10.0 * k) for k in range(6)]
CLOUDS = (
    cloud(POINTS),
    cloud(POINTS, width=3),
    cloud(POINTS, width=2, padding=7),
    cloud(POINTS, step=22, big_endian=True),
    cloud(POINTS, (*XYZ_FIELDS, ('t', 14, 8, 1)), 24),
    cloud([p[:3] for p in POINTS], [(n, 8 * k, 8, 1) for k, n in enumerate('xyz')]),
    cloud([(*p, (1, 2)) for p in POINTS], (*XYZI_FIELDS, ('ring', 17, 4, 2)), 22, width=6),
    cloud([(*p, True) for p in POINTS], (*XYZI_FIELDS, ('ok', 16, 11, 1)), 17, width=1),
)
IMAGES = (
    image('rgb8', row=9),
    image('bgra8', row=12, padding=4),
    image('mono16', row=6, padding=1, big_endian=1),
    image('32FC1', row=12),
    image('bayer_gbrg8', padding=2),
)


def integer(rng: random.Random, near: int, top: int = 2**32 - 1) -> int:
    """Uint32: near the given one, small, or at one of the edges where sizes wrap."""
    kind = rng.random()
    if kind < 0.4:
        return min(max(near + rng.choice((-16, -3, -1, 1, 2, 13)), 0), top)
    return min(rng.choice(SMALL if kind < 0.8 else LARGE), top)


def mutate_number(name):
    def mutate(msg, rng):
        setattr(msg, name, integer(rng, getattr(msg, name)))

    return mutate


def mutate_data(msg, rng):
    """Cut, lengthened or overwritten bytes."""
    data = msg.data[:]
    kind = rng.randrange(4)
    if kind == 0:
        data = data[: rng.randrange(len(data) + 1)]
    elif kind == 1:
        data.frombytes(rng.randbytes(rng.choice((1, 3, 16, 200))))
    elif kind == 2 and data:
        data[rng.randrange(len(data))] = rng.randrange(256)
    else:
        data = type(data)('B', rng.randbytes(len(data)))
    msg.data = data


def mutate_order(msg, rng):
    msg.is_bigendian = rng.choice((0, 1))


def mutate_reshape(msg, rng):
    """Other rows of the same points: consistent again, mostly."""
    n = min(msg.width * msg.height, 100)
    msg.width = rng.choice((1, 2, 3, max(n, 1)))
    msg.height = n // msg.width
    msg.row_step = msg.width * msg.point_step + rng.choice((0, 0, 1))


def mutate_field(msg, rng):
    """One field with another number or name."""
    fields = list(msg.fields)
    if fields:
        place = rng.randrange(len(fields))
        name = rng.choice(('offset', 'offset', 'datatype', 'datatype', 'count', 'name'))
        old = getattr(fields[place], name)
        new = {
            'offset': lambda: integer(rng, old),
            'datatype': lambda: rng.choice((*range(14), 255)),
            'count': lambda: integer(rng, old),
            'name': lambda: rng.choice(NAMES),
        }[name]()
        fields[place] = but(fields[place], **{name: new})
    msg.fields = fields


def mutate_fields(msg, rng):
    """One field more or less, or all in another order."""
    fields = list(msg.fields)
    kind = rng.randrange(3)
    if kind == 0 and fields:
        del fields[rng.randrange(len(fields))]
    elif kind == 1:
        offset, datatype, count = rng.choice(SMALL), rng.randrange(13), rng.choice((1, 1, 1, 2, 3))
        fields.append(field(rng.choice(NAMES), offset, datatype, count))
    else:
        rng.shuffle(fields)
    msg.fields = fields


CLOUD_MUTATIONS = (
    *(mutate_number(name) for name in ('width', 'height', 'point_step', 'row_step', 'row_step')),
    *(mutate_data, mutate_data, mutate_order, mutate_reshape),
    *(mutate_field, mutate_field, mutate_fields, mutate_fields),
)
IMAGE_MUTATIONS = (
    *(mutate_number(name) for name in ('width', 'height', 'step', 'step')),
    *(mutate_data, mutate_data, mutate_order),
    lambda msg, rng: setattr(msg, 'encoding', rng.choice(ENCODING_NAMES)),
)


def mutated(rng, bases, mutations):
    msg = but(rng.choice(bases))
    for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 4))):
        rng.choice(mutations)(msg, rng)
    return msg
