# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages built by hand, byte by byte, and a slow decoder to hold the codec against."""

from __future__ import annotations

import array
import struct
from types import SimpleNamespace as Message

# PointField datatype -> struct format; written out here, not taken from the codec.
FORMATS = dict(zip(range(1, 12), 'bBhHiIfdqQ?', strict=True))
NAN, INF = float('nan'), float('inf')

# (name, offset, datatype, count)
XYZ_FIELDS = (('x', 0, 7, 1), ('y', 4, 7, 1), ('z', 8, 7, 1))
XYZI_FIELDS = (*XYZ_FIELDS, ('intensity', 12, 7, 1))


def header(sec=12, nanosec=34, frame_id='lidar'):
    return Message(stamp=Message(sec=sec, nanosec=nanosec), frame_id=frame_id)


def field(name, offset, datatype, count=1):
    return Message(name=name, offset=offset, datatype=datatype, count=count)


def cloud(points, fields=XYZI_FIELDS, step=None, *, width=None, padding=0, big_endian=False):
    """
    Message with these points (one tuple of values per point, in field order).

    `width`: points in a row, all of them unless given; `padding`: bytes after each row. Bytes that
    belong to no field are 0xAA, so that reading them shows.
    """
    size = max((o + struct.calcsize(f'={FORMATS[d]}') * c for _, o, d, c in fields), default=0)
    step = size if step is None else step
    width = len(points) if width is None else width
    data = bytearray()
    for number, point in enumerate(points):
        data += cloud_point(point, fields, step, big_endian)
        if (number + 1) % width == 0:
            data += b'\xaa' * padding
    return Message(
        header=header(),
        height=len(points) // width if width else 1,
        width=width,
        fields=[field(*entry) for entry in fields],
        is_bigendian=big_endian,
        point_step=step,
        row_step=width * step + padding,
        data=array.array('B', bytes(data)),
        is_dense=True,
    )


def cloud_point(values, fields, step, big_endian=False):
    """Bytes of one point; a field with count above 1 takes a tuple of values."""
    point = bytearray(b'\xaa' * step)
    for value, (_, offset, datatype, count) in zip(values, fields, strict=True):
        parts = value if isinstance(value, tuple) else (value,)
        order = '>' if big_endian else '<'
        struct.pack_into(f'{order}{count}{FORMATS[datatype]}', point, offset, *parts)
    return bytes(point)


def slow_columns(msg):
    """
    First value of every field of every point, by the letter of PointCloud2, one at a time.

    {name: [values]}, -0 as 0. Of a message that is accepted only.
    """
    order = '>' if msg.is_bigendian else '<'
    data = bytes(msg.data)
    tight = msg.width * msg.point_step
    stale = msg.row_step < tight or len(data) == msg.height * tight
    row_step = tight if stale else msg.row_step
    columns = {}
    for entry in msg.fields:
        values = columns[entry.name] = []
        for row in range(msg.height if msg.width else 0):
            for column in range(msg.width):
                at = row * row_step + column * msg.point_step + entry.offset
                (value,) = struct.unpack_from(order + FORMATS[entry.datatype], data, at)
                values.append(value + 0.0 if isinstance(value, float) else value)
    return columns


def image(encoding='mono8', width=3, height=2, row=None, *, padding=0, big_endian=0, data=None):
    """Message of rows of `row` bytes (default: one per pixel), numbered from 0, then padded."""
    row = width if row is None else row
    if data is None:
        rows = (bytes((r * row + i) % 256 for i in range(row)) for r in range(height))
        data = b''.join(values + b'\xaa' * padding for values in rows)
    return Message(
        header=header(frame_id='camera'),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=big_endian,
        step=row + padding,
        data=array.array('B', data),
    )


def imu(orientation=(0.0, 0.0, 0.0, 1.0), rate=(0.1, 0.2, 0.3), acceleration=(0.0, 0.0, 9.81)):
    """Message with an orientation x y z w and all-zero (that is: unknown) covariances."""
    return Message(
        header=header(frame_id='imu'),
        orientation=Message(**dict(zip('xyzw', orientation, strict=True))),
        orientation_covariance=[0.0] * 9,
        angular_velocity=Message(**dict(zip('xyz', rate, strict=True))),
        angular_velocity_covariance=[0.0] * 9,
        linear_acceleration=Message(**dict(zip('xyz', acceleration, strict=True))),
        linear_acceleration_covariance=[0.0] * 9,
    )


def joints(name=('a', 'b', 'c'), position=(1.0, 2.0, 3.0), velocity=(), effort=()):
    return Message(
        header=header(frame_id=''),
        name=list(name),
        position=array.array('d', position),
        velocity=array.array('d', velocity),
        effort=array.array('d', effort),
    )


def odometry(position=(1.0, 2.0, 3.0), orientation=(0.0, 0.0, 0.0, 1.0), linear=(4.0, 5.0, 6.0),
             angular=(7.0, 8.0, 9.0)):  # fmt: skip
    return Message(
        header=header(frame_id='odom'),
        child_frame_id='base_link',
        pose=Message(
            pose=Message(
                position=Message(**dict(zip('xyz', position, strict=True))),
                orientation=Message(**dict(zip('xyzw', orientation, strict=True))),
            ),
            covariance=[0.0] * 36,
        ),
        twist=Message(
            twist=Message(
                linear=Message(**dict(zip('xyz', linear, strict=True))),
                angular=Message(**dict(zip('xyz', angular, strict=True))),
            ),
            covariance=[0.0] * 36,
        ),
    )


def transform(parent, child, t_ns=0, position=(0.0, 0.0, 0.0), rotation=(0.0, 0.0, 0.0, 1.0)):
    """Transform with the pose of a frame in its parent."""
    return Message(
        header=header(*divmod(t_ns, 1_000_000_000), parent),
        child_frame_id=child,
        transform=Message(
            translation=Message(**dict(zip('xyz', position, strict=True))),
            rotation=Message(**dict(zip('xyzw', rotation, strict=True))),
        ),
    )


def but(msg, **changes):
    """Message with some of its attributes replaced; the given one is not touched."""
    return Message(**{**vars(msg), **changes})


def made_of(values, **top):
    """Message with these numbers by dotted path: `{'wrench.force.x': 1.0}`; `top` beside them."""
    msg = Message(**top)
    for path, value in values.items():
        *above, last = path.split('.')
        part = msg
        for name in above:
            part.__dict__.setdefault(name, Message())
            part = getattr(part, name)
        setattr(part, last, value)
    return msg
